/**
 * I1, order: whenever the secondary claims to be coherent, or recoverable, the mirrors (with the
 * committed journal over them) equal the local devices, all of them together, after some set of
 * writes that is closed under *answered before issued*; writes in flight at that cut are in or out,
 * sector by sector. And the cut never goes back.
 *
 * How it is decided: every sector of the mirror shows a version of the local sector. A version that
 * is there says "issued by then"; the versions behind it say "not answered yet". So the cut is legal
 * exactly when the latest issue among all that is there precedes the earliest answer among all that
 * is missing. Zeroes have no name: then the oldest version that fits is taken.
 */
import { strict as assert } from 'node:assert';
import type { History } from '../history.js';
import type { SecondaryView } from '../secondary-view.js';

export class OrderChecker {
  checks = 0;
  readonly #history: History;
  readonly #view: SecondaryView;
  /** The versions of the last cut that was claimed. */
  readonly #cut: Int32Array[];
  readonly #next: Int32Array[];
  #changes = 0;
  #checkedAt = -1;
  #checkedState = '';

  constructor(history: History, view: SecondaryView) {
    this.#history = history;
    this.#view = view;
    this.#cut = history.devices.map(({ sectorCount }) => new Int32Array(sectorCount));
    this.#next = history.devices.map(({ sectorCount }) => new Int32Array(sectorCount));
    for (const device of history.devices.keys()) {
      view.mirror(device).landed = () => {
        this.#changes++;
      };
    }
  }

  /** Something changed that is no landing: the power was cut. */
  disturbed(): void {
    this.#changes++;
  }

  /** The mirror may have gone back, rightly: its disks were rolled back. */
  forget(): void {
    for (const cut of this.#cut) cut.fill(0);
    this.#changes++;
  }

  /** Looks when the mirror has changed since the last look, or what it claims. */
  check(): void {
    const standing = this.#view.standing();
    const state = standing?.state ?? 'never';
    if (this.#changes === this.#checkedAt && state === this.#checkedState) return;
    this.#checkedAt = this.#changes;
    this.#checkedState = state;
    this.checkNow(state);
  }

  checkNow(state: string): void {
    if (state !== 'coherent' && state !== 'recoverable') return;
    this.checks++;
    const mirror = this.#view.mirrorValues('live');
    // The mirror never has more than the journal holds durably: so the cut is that of its durable end.
    const values = state === 'recoverable' ? this.#view.withJournal(mirror, 'durable') : mirror;
    this.#mustBeCut(values, state);
    for (const [device, cut] of this.#cut.entries()) cut.set(this.#next[device]!);
  }

  #mustBeCut(values: readonly Int32Array[], state: string): void {
    const { devices } = this.#history;
    let issued = -1;
    for (const [index, device] of devices.entries()) {
      const shown = values[index]!;
      const next = this.#next[index]!;
      for (let sector = 0; sector < device.sectorCount; sector++) {
        const version = this.#find(index, sector, shown[sector]!, this.#cut[index]![sector]!);
        if (version < 0) this.#refuse(index, sector, shown[sector]!, state);
        next[sector] = version;
        issued = Math.max(issued, device.issued[sector]![version]!);
      }
    }
    // A zero may be a later one: taking it may show a later issue, so look again until all is quiet.
    for (let again = true; again; ) {
      again = false;
      for (const [index, device] of devices.entries()) {
        const next = this.#next[index]!;
        for (let sector = 0; sector < device.sectorCount; sector++) {
          const version = next[sector]!;
          if (version === device.lastOf(sector)) continue;
          if (device.answeredBehind(sector, version) > issued) continue;
          const later = this.#find(index, sector, values[index]![sector]!, version + 1);
          if (later < 0) this.#refuseCut(index, sector, version, issued, state);
          next[sector] = later;
          issued = Math.max(issued, device.issued[sector]![later]!);
          again = true;
        }
      }
    }
  }

  /** The oldest version from `from` on with this value, or −1. */
  #find(device: number, sector: number, value: number, from: number): number {
    return this.#history.devices[device]!.values[sector]!.indexOf(value, from);
  }

  #refuse(device: number, sector: number, value: number, state: string): never {
    const { values } = this.#history.devices[device]!;
    const was = this.#cut[device]![sector]!;
    const known = values[sector]!;
    const why = known.includes(value)
      ? `went back from version ${was} (${known[was]!})`
      : 'shows what the local device never held';
    assert.fail(
      `I1: a ${state} mirror ${why}: device ${device} sector ${sector} is ${value}, ` +
        `versions ${known.slice(-8).join(' ')}`,
    );
  }

  #refuseCut(device: number, sector: number, version: number, issued: number, state: string) {
    const { values, causes } = this.#history.devices[device]!;
    const missing = causes[sector]!.slice(version + 1).find(
      ({ answeredAt }) => answeredAt <= issued,
    );
    const later = [...this.#history.writes.values()].find(({ issuedAt }) => issuedAt === issued);
    assert.fail(
      `I1: a ${state} mirror is no cut: device ${device} sector ${sector} shows version ${version} ` +
        `(${values[sector]![version]!}) and misses one answered at ${missing?.answeredAt}, ` +
        `but write ${later?.id} on device ${later?.device}, issued at ${issued}, is there`,
    );
  }
}
