/**
 * Names of the secondary's files in the journal directory (manual-decisions row 25): `jGGGSSS.i`,
 * `jGGGSSS.c` and `jGGGSSS.p`, SSS from 001 to 999, then with a dash and at least six digits. A number is not
 * used again while any file of the group bears a number as high.
 */
import type { SegmentKind } from './segment.js';

export function metaName(group: number): string {
  return `j${digits(group, 3)}.meta`;
}

export function pageName(group: number): string {
  return `j${digits(group, 3)}.page`;
}

/** Which blocks of the mirrors others have written (core/journal/own-map.ts). */
export function ownName(group: number): string {
  return `j${digits(group, 3)}.own`;
}

/** In TDMF_HOME: the mirror was handed to applications (Rule 29). */
export function offName(group: number): string {
  return `s${digits(group, 3)}.off`;
}

export function segmentName(group: number, segment: number, kind: SegmentKind): string {
  const number = segment <= 999 ? digits(segment, 3) : `-${digits(segment, 6)}`;
  return `j${digits(group, 3)}${number}.${kind}`;
}

export interface SegmentName {
  readonly name: string;
  readonly segment: number;
  readonly kind: SegmentKind;
}

/** The journal files of the group among `names`, by number. */
export function segmentsOf(group: number, names: readonly string[]): SegmentName[] {
  const pattern = new RegExp(`^j${digits(group, 3)}(\\d{3}|-\\d{6,})\\.([icp])$`);
  const found: SegmentName[] = [];
  for (const name of names) {
    const match = pattern.exec(name);
    if (match === null) continue;
    const segment = Number(match[1]!.replace('-', ''));
    if (match[1] !== segmentName(group, segment, 'i').slice(4, -2)) continue;
    found.push({ name, segment, kind: match[2] as SegmentKind });
  }
  return found.sort((a, b) => a.segment - b.segment || (a.kind < b.kind ? -1 : 1));
}

/** The first number above all that are in use. */
export function nextSegment(group: number, names: readonly string[]): number {
  return (segmentsOf(group, names).at(-1)?.segment ?? 0) + 1;
}

function digits(value: number, width: number): string {
  return String(value).padStart(width, '0');
}
