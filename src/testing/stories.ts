/**
 * Small stories with a name: a full refresh under writes, then mirroring, made so that something
 * particular is likely. Sweeps strike them once, at every so many events (sweep.ts).
 */
import { type SwarmOptions, smallSwarm } from './swarm.js';

const small = smallSwarm(1);

/** Nothing but a refresh, with a few writes. */
const refresh: SwarmOptions = {
  ...small,
  cluster: { ...small.cluster, deviceBytes: [64 * 1024] },
  writers: small.writers.slice(1),
  safetyMs: 140,
  fairMs: 1,
};

/** Slow disks make phase b long; most blocks are cold, so what a burst changes is written once. */
const overflow: SwarmOptions = {
  ...small,
  cluster: {
    ...small.cluster,
    deviceBytes: [1024 * 1024],
    diskMs: 20,
    mirrorMs: 20,
    messageMs: 5,
  },
  writers: small.writers.slice(1).map((writer) => ({ ...writer, gapMs: 40 })),
  safetyMs: 700,
};

/**
 * Writes all over a larger device while the link is slow: what is frozen for phase b is a good part of
 * it, takes long to send, and is not written again meanwhile.
 */
const frozen: SwarmOptions = {
  ...small,
  cluster: {
    ...small.cluster,
    deviceBytes: [4 * 1024 * 1024],
    filledOf16: 1,
    regionBytes: 256 * 1024,
    hotTarget: 64,
    network: { ...small.cluster.network, bytesPerMs: 4000 },
  },
  writers: small.writers.slice(1).map((writer) => ({ ...writer, gapMs: 20, sectorsMax: 4 })),
  safetyMs: 1800,
  dirtEvery: 15,
};

export const stories: Readonly<Record<string, SwarmOptions>> = { small, refresh, overflow, frozen };
