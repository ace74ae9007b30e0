/**
 * May this primary have this mirror? The checks of a HELLO, in order, each with a code of its own
 * that reaches the primary as `refused`. First what needs no lock, so that a stranger cannot end the
 * session of the owner; then main ends that session (Rule 22, Rule 34); then the mirrors are opened
 * and locked. Nothing is written here.
 */
import { devicesPerGroupMax } from '../core/constants.js';
import { isTdmfError, TdmfError } from '../core/errors.js';
import type { MirrorStamp } from '../core/meta.js';
import { protocolVersion } from '../core/wire/frame.js';
import type { Hello, Refused } from '../core/wire/messages.js';
import type { BlockDevice, DeviceOpener } from '../ports/block-device.js';
import type { FileStore } from '../ports/file-store.js';
import { readRecord } from './rmd-record.js';

/** A group of which this host is the secondary, as its s###.cfg says. */
export interface MirrorConfig {
  readonly group: number;
  readonly loopback: boolean;
  /** The journal directory. */
  readonly journal: string;
  readonly devices: readonly MirrorDevice[];
}

export interface MirrorDevice {
  readonly name: string;
  readonly mirror: string;
  readonly cache?: 'direct' | 'writeback';
}

export interface AdmissionPlace {
  readonly config: MirrorConfig;
  readonly nodeId: string;
  readonly home: string;
  readonly files: FileStore;
  readonly devices: DeviceOpener;
}

/** Everything that can be refused without touching a device. @throws TDMF_RMD_*, TDMF_LINK_VERSION */
export async function checkHello(place: AdmissionPlace, hello: Hello): Promise<void> {
  const { config, nodeId, home, files, devices } = place;
  const { group, journal } = config;
  if (hello.protocol !== protocolVersion) {
    throw new TdmfError('TDMF_LINK_VERSION', { theirs: hello.protocol, ours: protocolVersion });
  }
  // H34: on a host that is both ends of a group, its own hello may come back to it.
  if (hello.nodeId === nodeId && !config.loopback) throw new TdmfError('TDMF_RMD_SELF');
  const { record } = await readRecord(files, devices.digest, journal, group);
  if (record.barred.includes(hello.launch)) throw new TdmfError('TDMF_RMD_BARRED');
  const digits = String(group).padStart(3, '0');
  // Rule 29: the file or the record; whichever of the two a crash left.
  const off = (await files.read(`${home}/s${digits}.off`)) !== undefined;
  if (off || record.reco !== 'none') {
    throw new TdmfError('TDMF_RMD_OFF', { group: digits });
  }
  if ((await files.list(journal)) === undefined) {
    throw new TdmfError('TDMF_RMD_JOURNAL_MISSING', { path: journal });
  }
  if (record.ownerNodeId !== '' && record.ownerNodeId !== hello.nodeId) {
    throw new TdmfError('TDMF_RMD_OWNED', { owner: record.ownerNodeId });
  }
  const difference = compareDevices(config.devices, hello);
  if (difference !== undefined) throw new TdmfError('TDMF_RMD_DEVICES', { difference });
}

/** Opens and locks every mirror, or none. @throws TDMF_RMD_MIRROR, TDMF_RMD_SIZE */
export async function openMirrors(place: AdmissionPlace, hello: Hello): Promise<BlockDevice[]> {
  const opened: BlockDevice[] = [];
  try {
    for (const [index, { mirror, cache }] of place.config.devices.entries()) {
      const expected = hello.devices[index]!.sizeBytes;
      const device = await openMirror(place.devices, mirror, cache);
      opened.push(device);
      if (device.sizeBytes < expected) {
        throw new TdmfError('TDMF_RMD_SIZE', { path: mirror, actual: device.sizeBytes, expected });
      }
      // The last block would reach beyond the agreed size, where nothing is ever written (I20).
      if (expected % device.alignmentBytes !== 0) {
        const why = `${expected} bytes are no multiple of its block; set cache: writeback`;
        throw new TdmfError('TDMF_RMD_MIRROR', { path: mirror, why });
      }
    }
  } catch (error) {
    await Promise.all(opened.map((device) => device.close()));
    throw error;
  }
  return opened;
}

/**
 * Which objects the mirrors are; to be compared with those that were written (H33). `sizes`: what was
 * agreed with the primary.
 */
export function stampMirrors(
  place: Pick<AdmissionPlace, 'config' | 'files' | 'devices'>,
  sizes: readonly number[],
): Promise<MirrorStamp[]> {
  const { config, files, devices } = place;
  return Promise.all(
    config.devices.map(async ({ mirror }, index) => {
      const bytes = new TextEncoder().encode(mirror);
      const path = devices.digest.crc32c(bytes, 0, bytes.length);
      const identity = await files.identify(mirror);
      return { path, ...identity, sizeBytes: sizes[index] ?? 0, writeMark: '' };
    }),
  );
}

/** An error as the last words to the primary; one without a code is ours alone to see. */
export function refusalOf(error: unknown): Refused {
  if (!isTdmfError(error)) return refusalOf(failedOf(error));
  const details: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(error.details)) {
    if (value !== undefined) details[name] = typeof value === 'boolean' ? String(value) : value;
  }
  return { kind: 'refused', code: error.code, details };
}

/** Any failure of devices or files of this side, as the code the primary knows. */
export function failedOf(error: unknown): TdmfError {
  if (isTdmfError(error)) {
    const known = /^TDMF_(?:RMD|LINK|JOURNAL|CHECKPOINT|HOOK|MIRROR)_/.test(error.code);
    if (known) return error;
  }
  const why = error instanceof Error ? error.message : String(error);
  return new TdmfError('TDMF_RMD_FAILED', { why }, { cause: error });
}

export async function openMirror(
  opener: DeviceOpener,
  path: string,
  cache: MirrorDevice['cache'],
): Promise<BlockDevice> {
  try {
    return await opener.open({ path, access: 'readwrite', ...(cache !== undefined && { cache }) });
  } catch (error) {
    if (!isTdmfError(error)) throw error;
    throw new TdmfError('TDMF_RMD_MIRROR', { path, why: error.message }, { cause: error });
  }
}

function compareDevices(ours: readonly MirrorDevice[], hello: Hello): string | undefined {
  const theirs = hello.devices;
  if (theirs.length === 0 || theirs.length > devicesPerGroupMax) {
    return `${theirs.length} devices there`;
  }
  if (ours.length !== theirs.length) return `${theirs.length} there, ${ours.length} here`;
  for (const [index, { name }] of ours.entries()) {
    const other = theirs[index]!.name;
    if (other !== name) return `number ${index + 1} is ${other} there, ${name} here`;
  }
  return undefined;
}
