/**
 * The bytes of the BAB, declared once: pool header, group control block, in-flight slot, descriptor.
 * All of it lies in SharedArrayBuffers that main allocates, so that it outlives a crashed thread. It
 * never leaves the process: host byte order, no checksum.
 *
 *   pool header    │ line: magic, sizes │ lent │ used │ memories, starts ×16 │ accounts ×1000 │ owner words … │
 *   BAB memory     │ chunk 64 KiB │ chunk │ chunk │ …      payload, or 1024 descriptors
 *
 *   control block  │ ids │ duties │ published │ released │ sent │ received │ applied │ durable │
 *                  │ asleep │ era │ totals │ pmd │ descriptor chunks ×64 │ sync │ devices ×64 │ slots ×1024 │
 *
 * Words that different threads write stand on cache lines of their own. Numbers up to 2^53 are f64:
 * each has one writer, and readers see them behind an atomic cursor or the era's version word.
 */
import {
  babChunkBytes,
  babDescriptorBytes,
  babDescriptorChunksMax,
  devicesPerGroupMax,
  groupsMax,
  writesInFlightMax,
} from '../constants.js';
import { layout } from '../layout.js';

export const descriptorsPerChunk = babChunkBytes / babDescriptorBytes;
export const accountBytes = 64;
export const slotBytes = 64;
export const deviceCounterBytes = 64;

// biome-ignore format: one field a line reads as a table
export const poolHeaderLayout = layout({
  id: 'bab-pool',
  shared: true,
  sizeBytes: 384 + groupsMax * accountBytes,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: '"BABP"' },
    { offset: 4, size: 4, type: 'u32', name: 'version', meaning: '1' },
    { offset: 8, size: 4, type: 'i32', name: 'chunkCount', meaning: 'chunks of all memories together' },
    { offset: 12, size: 4, type: 'i32', name: 'memoryCount', meaning: 'memories in use' },
    { offset: 16, size: 4, type: 'i32', name: 'promised', meaning: 'chunks promised in shares, at most half of all (Rule 42a)' },
    { offset: 64, size: 4, type: 'i32', name: 'lentUsed', meaning: 'chunks that groups use beyond their shares' },
    { offset: 128, size: 4, type: 'i32', name: 'used', meaning: 'chunks owned by groups' },
    { offset: 192, size: 128, type: 'i32', name: 'memories', meaning: '16 pairs: first chunk, chunk count' },
    { offset: 320, size: 64, type: 'i32', name: 'starts', meaning: 'where the chunks of each memory begin, for the alignment of I/O' },
    { offset: 384, size: groupsMax * accountBytes, type: 'i32', name: 'accounts', meaning: 'one account per group slot' },
  ],
});

// biome-ignore format: one field a line reads as a table
export const accountLayout = layout({
  id: 'bab-account',
  shared: true,
  sizeBytes: accountBytes,
  fields: [
    { offset: 0, size: 4, type: 'i32', name: 'share', meaning: 'chunks this group can always have' },
    { offset: 4, size: 4, type: 'i32', name: 'used', meaning: 'chunks it has, or is about to claim' },
  ],
});

// biome-ignore format: one field a line reads as a table
export const controlLayout = layout({
  id: 'bab-control',
  shared: true,
  sizeBytes: 1088 + devicesPerGroupMax * deviceCounterBytes + writesInFlightMax * slotBytes,
  fields: [
    { offset: 0, size: 4, type: 'u32', name: 'magic', meaning: '"BABG"' },
    { offset: 4, size: 4, type: 'u32', name: 'version', meaning: '1' },
    { offset: 8, size: 4, type: 'i32', name: 'deviceCount', meaning: 'devices of the group' },
    { offset: 64, size: 4, type: 'i32', name: 'duties', meaning: 'bit 0 append, bit 1 mark; read once per write (T1)' },
    { offset: 68, size: 4, type: 'i32', name: 'latch', meaning: '1 after an overflow, until append comes back with a new era (T2)' },
    { offset: 128, size: 4, type: 'i32', name: 'published', meaning: 'driver: entries published, a wrapping count' },
    { offset: 192, size: 4, type: 'i32', name: 'released', meaning: 'driver: entries whose memory is given back' },
    { offset: 256, size: 4, type: 'i32', name: 'sent', meaning: 'PMD: entries sent in this session' },
    { offset: 320, size: 4, type: 'i32', name: 'received', meaning: 'PMD: entries the RMD has received' },
    { offset: 384, size: 4, type: 'i32', name: 'applied', meaning: 'PMD: entries written to the mirror' },
    { offset: 448, size: 4, type: 'i32', name: 'durable', meaning: 'PMD: entries durable on the secondary; may be released' },
    { offset: 512, size: 4, type: 'i32', name: 'asleep', meaning: '1 while the PMD wants to be woken' },
    { offset: 576, size: 4, type: 'i32', name: 'eraVersion', meaning: 'odd while the words of this line change' },
    { offset: 580, size: 4, type: 'i32', name: 'generation', meaning: 'counts the eras of this start; 0 before the first' },
    { offset: 584, size: 8, type: 'f64', name: 'first', meaning: 'first sequence of the era (s0)' },
    { offset: 592, size: 8, type: 'f64', name: 'stamped', meaning: 'last sequence stamped' },
    { offset: 600, size: 8, type: 'f64', name: 'lease', meaning: 'sequences up to here are durable in the pstore (Rule 8c)' },
    { offset: 608, size: 8, type: 'f64', name: 'releasedSequence', meaning: 'last sequence of the era released; first − 1 when none is' },
    { offset: 616, size: 16, type: 'bytes', name: 'era', meaning: 'the era id' },
    { offset: 640, size: 8, type: 'f64', name: 'bytes', meaning: 'payload bytes of entries not yet released' },
    { offset: 648, size: 8, type: 'f64', name: 'oldestAt', meaning: 'wall clock when the oldest entry not released was published' },
    { offset: 656, size: 8, type: 'f64', name: 'entriesPublished', meaning: 'entries published since start' },
    { offset: 664, size: 8, type: 'f64', name: 'bytesPublished', meaning: 'payload bytes published since start' },
    { offset: 704, size: 8, type: 'f64', name: 'sentMax', meaning: 'PMD: highest sequence of the era ever sent' },
    { offset: 712, size: 8, type: 'f64', name: 'dataBytesSent', meaning: 'PMD: bytes of entries and blocks sent since start' },
    { offset: 720, size: 8, type: 'f64', name: 'linkBytesSent', meaning: 'PMD: bytes handed to the link since start' },
    { offset: 768, size: 256, type: 'i32', name: 'descriptorChunks', meaning: 'chunk of each part of the descriptor ring, −1 none' },
    { offset: 1024, size: 4, type: 'i32', name: 'syncFirst', meaning: 'driver: durable count that the first of the waiting writers needs (Rule 41)' },
    { offset: 1028, size: 4, type: 'i32', name: 'syncLast', meaning: 'driver: durable count that the last one needs; the secondary shall flush up to it (Rule 39)' },
    { offset: 1032, size: 4, type: 'i32', name: 'syncWaiting', meaning: 'driver: 1 while writers wait for the secondary' },
    { offset: 1036, size: 4, type: 'i32', name: 'syncBell', meaning: '1 while the driver wants to be told that durable has come to syncFirst' },
    { offset: 1040, size: 4, type: 'i32', name: 'syncDegraded', meaning: 'driver: 1 while writers do not wait although they should (Rule 40)' },
    { offset: 1044, size: 4, type: 'i32', name: 'syncDepth', meaning: 'driver: SYNCMODEDEPTH in force, 0 async; what the next driver begins with' },
    { offset: 1048, size: 4, type: 'i32', name: 'syncTimeoutMs', meaning: 'driver: SYNCMODETIMEOUT in force' },
    { offset: 1088, size: devicesPerGroupMax * deviceCounterBytes, type: 'f64', name: 'devices', meaning: 'counters of each device' },
    { offset: 1088 + devicesPerGroupMax * deviceCounterBytes, size: writesInFlightMax * slotBytes, type: 'i32', name: 'slots', meaning: 'writes in flight' },
  ],
});

// biome-ignore format: one field a line reads as a table
export const deviceCounterLayout = layout({
  id: 'bab-device-counters',
  shared: true,
  sizeBytes: deviceCounterBytes,
  fields: [
    { offset: 0, size: 8, type: 'f64', name: 'reads', meaning: 'reads completed' },
    { offset: 8, size: 8, type: 'f64', name: 'sectorsRead', meaning: 'of 512 bytes' },
    { offset: 16, size: 8, type: 'f64', name: 'writes', meaning: 'writes, trims and zeroes completed' },
    { offset: 24, size: 8, type: 'f64', name: 'sectorsWritten', meaning: 'of 512 bytes' },
    { offset: 32, size: 8, type: 'f64', name: 'babEntries', meaning: 'entries not yet released' },
    { offset: 40, size: 8, type: 'f64', name: 'babBytes', meaning: 'their payload' },
  ],
});

// biome-ignore format: one field a line reads as a table
export const slotLayout = layout({
  id: 'bab-slot',
  shared: true,
  sizeBytes: slotBytes,
  fields: [
    { offset: 0, size: 4, type: 'i32', name: 'state', meaning: '0 FREE, 1 FILLING, 2 STARTED' },
    { offset: 4, size: 4, type: 'i32', name: 'device', meaning: 'index of the device' },
    { offset: 8, size: 4, type: 'i32', name: 'duties', meaning: 'duties it started with; reduced to mark when demoted' },
    { offset: 12, size: 4, type: 'i32', name: 'entries', meaning: 'descriptors reserved for it' },
    { offset: 16, size: 8, type: 'f64', name: 'offset', meaning: 'first byte it may change' },
    { offset: 24, size: 8, type: 'f64', name: 'length', meaning: 'bytes it may change' },
    { offset: 32, size: 8, type: 'f64', name: 'dep', meaning: 'highest sequence answered when it was admitted' },
  ],
});

// biome-ignore format: one field a line reads as a table
export const descriptorLayout = layout({
  id: 'bab-descriptor',
  shared: true,
  sizeBytes: babDescriptorBytes,
  fields: [
    { offset: 0, size: 8, type: 'f64', name: 'sequence', meaning: 'of the era' },
    { offset: 8, size: 8, type: 'f64', name: 'dep', meaning: 'start when everything up to here is complete' },
    { offset: 16, size: 8, type: 'f64', name: 'offset', meaning: 'on the device' },
    { offset: 24, size: 8, type: 'f64', name: 'memoryOffset', meaning: 'of the payload in its memory; 0 for zeroes' },
    { offset: 32, size: 8, type: 'f64', name: 'publishedAt', meaning: 'wall clock, ms' },
    { offset: 40, size: 4, type: 'i32', name: 'length', meaning: 'bytes of the device it covers' },
    { offset: 44, size: 4, type: 'i32', name: 'device', meaning: 'index of the device' },
    { offset: 48, size: 4, type: 'i32', name: 'flags', meaning: 'entryFlags' },
    { offset: 52, size: 4, type: 'i32', name: 'memory', meaning: 'index of the BAB memory of the payload' },
    { offset: 56, size: 4, type: 'i32', name: 'generation', meaning: 'of the era it belongs to' },
  ],
});

/** Duty bits (correctness.md 4): PASSTHRU 0 · NORMAL append · TRACKING mark · phase b both. */
export const duty = { none: 0, append: 1, mark: 2, both: 3 } as const;

export const slotState = { free: 0, filling: 1, started: 2 } as const;

export const poolMagic = 0x50424142;
export const controlMagic = 0x47424142;
export const layoutVersion = 1;

/** Entries that can be published and not released: the whole ring of descriptors. */
export const descriptorsMax = babDescriptorChunksMax * descriptorsPerChunk;
