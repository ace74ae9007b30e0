/**
 * What a seed stands for: the pair of hosts, the applications, and which faults exist at all, each
 * drawn by chance (swarm testing: a run without a certain fault sees what that fault would hide).
 * Plain data; a failure prints it.
 */
import type { TunableValues } from '../core/tunables.js';
import { type ClusterOptions, smallCluster } from './cluster-options.js';
import { Prng } from './prng.js';
import { type WorkloadKind, type WriterOptions, workloadKinds } from './workload.js';

export const faultKinds = [
  'link.cut',
  'link.cutAt',
  'link.stall',
  'link.silent',
  'link.stallBack',
  'link.halfClose',
  'link.dead',
  'network.down',
  'secondary.kill',
  'secondary.powerCut',
  'secondary.restart',
  'secondary.rollback',
  'secondary.damage',
  'mirror.error',
  'mirror.slow',
  'mirror.hung',
  'journal.error',
  'journal.full',
  'primary.throw',
  'primary.thread',
  'primary.restart',
  'primary.kill',
  'primary.powerCut',
  'primary.rollback',
  'primary.damage',
  'local.error',
  'local.flush',
  'local.slow',
  'local.hung',
  'pstore.slow',
  'pstore.hung',
  'pstore.error',
  'client.stall',
  'clock.jump',
  'load.burst',
  'load.hotBurst',
  'operator.killrefresh',
  'operator.killpmd',
  'operator.launchrefresh',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface Strike {
  readonly afterEvents: number;
  readonly kind: FaultKind;
}

export interface SwarmOptions {
  readonly seed: number;
  readonly cluster: ClusterOptions;
  readonly writers: readonly WriterOptions[];
  /** Faults that happen in this run; a kind that is there twice happens twice as often. */
  readonly faults: readonly FaultKind[];
  /** Longest pause between two faults of one lane. */
  readonly faultGapMs: number;
  readonly safetyMs: number;
  /** Within this much simulated time after the last fault everything must be well again. */
  readonly livenessMs: number;
  /** Applications go on for so long in fair weather, then stop. */
  readonly fairMs: number;
  /** How often the operator looks at a group that waits for him. */
  readonly operatorMs: number;
  /** How long he lets a group in TRACKING help itself. */
  readonly patienceMs: number;
  readonly dirtEvery: number;
  /** Applications and faults wait for the first NORMAL, or a few seconds. */
  readonly calmStart: boolean;
  /** Faults right after so many events: for sweeps over a small story. */
  readonly strikes?: readonly Strike[];
  /** Faults that do not happen after all, by their number: what the shrinker has left out. */
  readonly skip?: readonly number[];
  /** Applications stop after so many writes. */
  readonly writesMax?: number;
}

/** A story of a few hundred events: a full refresh under writes, then writes. */
export function smallSwarm(seed: number): SwarmOptions {
  const writer = {
    gapMs: 25,
    sectorsMax: 16,
    flushesOf16: 1,
    readsOf16: 0,
    burstsOf256: 0,
  } as const;
  return {
    seed,
    cluster: { ...smallCluster, deviceBytes: [128 * 1024, 64 * 1024], babBytes: 1024 * 1024 },
    writers: [
      { ...writer, kind: 'overlapping', depth: 2, zeroesOf16: 2 },
      { ...writer, kind: 'random', depth: 1, zeroesOf16: 0 },
    ],
    faults: [],
    faultGapMs: 1000,
    safetyMs: 200,
    livenessMs: 5 * 60_000,
    fairMs: 20,
    operatorMs: 20,
    patienceMs: 0,
    dirtEvery: 7,
    calmStart: false,
  };
}

/** Writes of one run, about. */
const writesMin = 200;
const writesMax = 900;

export function drawSwarm(seed: number): SwarmOptions {
  const chance = new Prng(seed).fork('swarm');
  const safetyMs = chance.between(3, 12) * 1000;
  const writers = drawWriters(chance, safetyMs);
  return {
    seed,
    cluster: { ...drawCluster(chance), tunables: drawTunables(new Prng(seed).fork('tunables')) },
    writers,
    faults: drawFaults(chance),
    faultGapMs: chance.pick([500, 2000, 6000]),
    safetyMs,
    livenessMs: 5 * 60_000,
    fairMs: 500,
    operatorMs: chance.pick([20, 100, 1000]),
    patienceMs: chance.pick([0, 1000, 10_000]),
    dirtEvery: chance.between(8, 40),
    calmStart: chance.chance(3, 4),
  };
}

function drawTunables(chance: Prng): TunableValues {
  return {
    SYNCMODE: chance.chance(1, 3),
    SYNCMODEDEPTH: chance.pick([1, 1, 2, 5]),
    SYNCMODETIMEOUT: chance.pick([1, 2, 10]),
    COMPRESSION: chance.chance(1, 3),
    REFRESHRATE: chance.pick([0, 0, 0, 2000]),
  };
}

function drawCluster(chance: Prng): Omit<ClusterOptions, 'tunables'> {
  const kib = 1024;
  const sizes = [128, 256, 256, 512, 1024] as const;
  const count = chance.pick([1, 1, 2, 2, 3]);
  const delayMs = chance.pick([0.05, 0.2, 1, 8]);
  return {
    groups: chance.chance(1, 8) ? 2 : 1,
    deviceBytes: Array.from({ length: count }, () => chance.pick(sizes) * kib),
    filledOf16: chance.pick([0, 8, 15, 16]),
    logicalBlockBytes: chance.pick([512, 512, 4096]),
    direct: chance.chance(1, 5),
    babBytes: chance.pick([1, 1, 2, 4]) * kib * kib,
    windowBytes: chance.pick([1, 2, 4]) * kib * kib,
    chunkSizeKb: chance.pick([4, 16, 64, 256]),
    chunkDelayMs: chance.pick([0, 0, 0, 5]),
    diskMs: chance.pick([0.2, 1, 3, 12, 40]),
    mirrorMs: chance.pick([0.2, 1, 3, 12]),
    messageMs: chance.pick([0.05, 0.2, 2, 20]),
    network: {
      delayMs,
      jitterMs: chance.pick([0, delayMs, 4 * delayMs]),
      chunkBytesMax: chance.pick([1500, 16 * kib, 64 * kib]),
      windowBytes: chance.pick([64, 256, 1024]) * kib,
      bytesPerMs: chance.pick([0, 0, 200, 500, 5000]),
    },
    regionBytes: chance.pick([64, 128, 512]) * kib,
    hotTarget: chance.pick([1, 2, 4, 64]),
    logPages: chance.pick([4, 4, 16]),
    drainOnStopMs: chance.pick([50, 1000, 5000]),
  };
}

function drawWriters(chance: Prng, safetyMs: number): WriterOptions[] {
  const count = chance.between(1, 3);
  const depths = Array.from({ length: count }, () => chance.pick([1, 1, 2, 4, 8]));
  const lanes = depths.reduce((sum, depth) => sum + depth, 0);
  const writes = chance.between(writesMin, writesMax);
  const gapMs = (2 * safetyMs * lanes) / writes;
  return depths.map((depth) => ({
    kind: chance.pick<WorkloadKind>([...workloadKinds, 'overlapping']),
    depth,
    gapMs: gapMs * chance.pick([0.5, 1, 2]),
    sectorsMax: chance.pick([8, 32, 128, 256]),
    zeroesOf16: chance.pick([0, 1, 4]),
    flushesOf16: chance.pick([0, 1, 2]),
    readsOf16: chance.pick([0, 1]),
    burstsOf256: chance.pick([0, 0, 3, 10]),
  }));
}

function drawFaults(chance: Prng): FaultKind[] {
  // A few runs in calm weather: what goes wrong there needs no fault.
  if (chance.chance(1, 16)) return [];
  const likely = (kind: FaultKind) =>
    common.includes(kind) ? 2 : disruptive.includes(kind) ? 6 : 3;
  const drawn = faultKinds.filter((kind) => chance.chance(1, likely(kind)));
  const favourites = drawn.filter((kind) => !disruptive.includes(kind) && chance.chance(1, 2));
  return [...drawn, ...favourites, ...favourites];
}

/** What happens in every machine room. */
const common: readonly FaultKind[] = ['link.cut', 'secondary.kill'];

/** After these a full refresh begins anew: with too many of them there is nothing but refreshes. */
const disruptive: readonly FaultKind[] = [
  'primary.kill',
  'primary.powerCut',
  'primary.rollback',
  'primary.damage',
  'secondary.rollback',
  'secondary.damage',
  'operator.killrefresh',
  'operator.launchrefresh',
];
