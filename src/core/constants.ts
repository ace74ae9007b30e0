/**
 * Every limit and layout number, in one place, with the relation each must keep. Asserted on load,
 * in production too: a constant that breaks a promise must not start.
 */
import { assert } from './assert.js';

const kib = 1024;
const mib = 1024 * kib;

export const sectorBytes = 512;

/** One bit of the dirty map. 64 KiB: 16 TiB need 32 MiB of memory (Rule 49b). */
export const mapBlockBytes = 64 * kib;

/** A region of a device is marked hot before the first write in it (Rule 49b); larger devices have
 * larger ones, so that none has more than `regionsMax`. */
export const regionBytesMin = 4 * mib;
export const regionsMax = 2 ** 18;
/** Regions of a group that stay hot without being written to: what a crash leaves to compare. */
export const hotRegionsTarget = 1024;
/** Regions heated ahead of a write that goes on where the region before ended. */
export const hotRegionsAhead = 8;
/** A pstore that does not answer for so long counts as failed (Rule 28c). */
export const heatLimitMs = 30_000;

/** The BAB is handed out in chunks of this size (Rule 42b: 16–64 KiB). */
export const babChunkBytes = 64 * kib;
export const babDefaultBytes = 64 * mib;
/** A started group can always have this much of the BAB, or `start` is refused (Rule 42a). */
export const babShareMinBytes = 256 * kib;

/** Arena numbers below are memory that threads share (parts of the BAB); above, a thread's own. */
export const sharedArenasMax = 16;

/** Descriptors of published entries: 64 bytes each, a chunk holds 1024. */
export const babDescriptorBytes = 64;
/** Chunks of descriptors a group may have: bounds its entries in the BAB. */
export const babDescriptorChunksMax = 64;
/** One entry's payload is one contiguous piece of at most this; larger writes are several entries. */
export const babEntryPayloadMax = 256 * kib;
/** Writes, trims and zeroes of one group between start and publication. */
export const writesInFlightMax = 1024;

/** NBD requests up to 32 MiB (the specification's default limit). */
export const nbdRequestMax = 32 * mib;
export const devicesPerGroupMax = 64;
export const groupsMax = 1000;
/** Names of devices are this short, so that 64 of them fit the first frame (Rule 55). */
export const deviceNameMax = 31;

/** Zeroing requests are cut into steps, so that none blocks the order for long (Rule 32). */
export const zeroStepBytes = 32 * mib;

/** CHUNKSIZE: bytes of entries a frame carries at most, default of the manual's tunable (KB). */
export const chunkSizeDefaultKb = 256;
export const frameHeaderBytes = 64;
export const wireEntryBytes = 48;
/** Entries of one frame. */
export const frameEntriesMax = 1024;
export const framePayloadMax = 1 * mib + frameEntriesMax * wireEntryBytes;
/** The first frame of a connection, before anything is agreed (Rule 55). */
export const firstFramePayloadMax = 4 * kib;
export const controlPayloadMax = 64 * kib;
/** Bytes the PMD may have sent that the RMD has not yet freed: the RMD's receive memory. */
export const linkWindowBytes = 8 * mib;

/** Bits of `dirt` in one message: 32 KiB tell of 16 GiB. */
export const dirtBytesMax = 32 * kib;
/** Blocks compared in one batch (1 MiB), and batches under way in one session (Rule 17). */
export const hashBlocksMax = 16;
export const hashBatchesMax = 16;

export const heartbeatMs = 2_000;
export const linkDeadMs = 10_000;
/** Strangers: how long a handshake may take, and how many may be in progress on one host thread. */
export const linkHandshakeMs = 5_000;
export const linkHandshakesMax = 256;
export const linkHandshakesPerAddressMax = 64;
/** `send` says "wait" from here on, and `drained` comes when no more than the other is left. */
export const linkHighWaterBytes = 4 * mib;
export const linkLowWaterBytes = 1 * mib;
export const reconnectFirstMs = 100;
export const reconnectMaxMs = 5_000;

/** The secondary flushes after this many bytes, this long after a write, or when idle. */
export const flushAfterBytes = 16 * mib;
export const flushAfterMs = 200;
/** Quiet for so long counts as idle (Rule 39). */
export const flushIdleMs = 20;

/** A file of journaled entries goes on in the next one from here on. */
export const journalSegmentBytes = 256 * mib;
/** A journal without space is tried again after this, doubling (H44). */
export const journalRetryFirstMs = 500;
export const journalRetryMaxMs = 30_000;
/** How long a session waits for the I/O of the one before it (Rule 22). */
export const admissionLimitMs = 30_000;

/** A switch of duties, or the wait for the commit mark, is undone after this (Rule 3). */
export const switchLimitMs = 30_000;
/** Phase b and the commit: the mirror's flush of a whole full refresh lies inside (Rule 24). */
export const commitLimitMs = 600_000;
/** Pause before phase a goes on after an abandoned phase b; doubles each time (Rule 43b). */
export const refreshBackoffFirstMs = 1_000;
export const refreshBackoffMaxMs = 60_000;
/** Pause in TRACKING before a refresh that ended by itself goes on; doubles each time (MD 12). */
export const trackingPauseFirstMs = 1_000;
export const trackingPauseMaxMs = 60_000;

/** Groups that refresh by themselves at the same time on one host (Rule 53). */
export const refreshesAtOnceMax = 4;

/** Sequence numbers are leased from the pstore in steps this large (Rule 8c). */
export const sequenceLeaseStep = 2 ** 24;
export const sequenceMax = Number.MAX_SAFE_INTEGER;

assert(regionBytesMin % mapBlockBytes === 0, 'a region is whole blocks of the map');
assert(babEntryPayloadMax % babChunkBytes === 0, 'an entry payload is whole chunks at most');
assert(babEntryPayloadMax <= framePayloadMax, 'an entry fits a frame');
assert(babChunkBytes % babDescriptorBytes === 0, 'descriptors fill a chunk');
assert(babShareMinBytes >= 2 * babChunkBytes, 'a share holds payload and descriptors');
assert(linkWindowBytes >= 4 * framePayloadMax, 'the window keeps several frames under way');
assert(dirtBytesMax + kib <= controlPayloadMax, 'dirt fits a control frame');
assert(journalRetryFirstMs <= journalRetryMaxMs, 'the pause of a full journal grows');
assert(journalSegmentBytes >= 4 * framePayloadMax, 'a file holds more than a frame or two');
assert(hashBlocksMax % 8 === 0, 'the answer to a batch is whole bytes');
assert(linkHighWaterBytes <= linkWindowBytes, 'the link holds no more than the secondary takes');
assert(linkLowWaterBytes < linkHighWaterBytes, 'a link that drained is told before it is empty');
assert(commitLimitMs > switchLimitMs, 'a commit may take longer than a switch of duties');
assert(switchLimitMs > linkDeadMs, 'a dead link is noticed before a switch is given up');
assert(trackingPauseFirstMs <= trackingPauseMaxMs, 'the pause grows');
assert(refreshBackoffFirstMs <= refreshBackoffMaxMs, 'the back-off grows');
assert(linkDeadMs >= 4 * heartbeatMs, 'a lost heartbeat or two is no lost link');
