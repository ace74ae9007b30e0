/**
 * A local object of fixed size that is read and written in place: data device, mirror, journal
 * segment. Real: io_uring, or node:fs. Simulated: SimDevice. The contract suite
 * (testing/contracts/block-device.ts) tests exactly the sentences below on every implementation.
 *
 * - Operations may complete in any order; overlapping ones must be ordered by the caller (I9).
 * - `write` completes when the bytes are readable back, *not* when they are durable, unless `fua`.
 * - `flush` completes when every write that completed before the call is durable. After a failed
 *   flush nothing since the last good one counts as durable (H21).
 * - A process crash keeps completed writes (page cache); a power cut keeps any subset of the
 *   *sectors* (512 bytes) that were not flushed.
 * - A write or zero beyond `sizeBytes` fails with −ENOSPC and changes nothing (I20), unless the
 *   device was opened with `growable`. A read beyond it fails with −EINVAL.
 * - On a direct device (`direct`) offset, length and memory of every piece must be multiples of
 *   `alignmentBytes`; otherwise −EINVAL. The caller does the read-modify-write (H16).
 * - A write on a device opened for `read` fails with −EBADF.
 * - The vector may be refilled as soon as the call has returned; the memory it names belongs to the
 *   operation until the completion. A write that fails midway reports the bytes it had done (H20).
 * - Using a handle after `close` was called is a bug of the caller (assertion).
 */
import type { Crc32c } from '../core/checksum.js';
import type { IoVector } from '../core/io-vector.js';
import type { Lz4Compress, Lz4Decompress } from '../core/wire/lz4.js';
import type { CompletionSink } from './completion.js';

export interface BlockDevice {
  readonly path: string;
  readonly sizeBytes: number;
  /** Overlap tests round to this (H16): 512 for files, the logical block size of a block device. */
  readonly logicalBlockBytes: number;
  readonly direct: boolean;
  /** 1 on a buffered device. */
  readonly alignmentBytes: number;

  /** A short result means the end of the file: of a growable one, or of one cut behind our back. */
  read(memory: IoVector, offset: number, sink: CompletionSink, tag: number): void;
  write(memory: IoVector, offset: number, fua: boolean, sink: CompletionSink, tag: number): void;
  flush(sink: CompletionSink, tag: number): void;
  /** Sector-exact zeroes; with `mayUnmap` the space may be given back (H32: TRIM is this). */
  zero(
    offset: number,
    length: number,
    options: ZeroOptions,
    sink: CompletionSink,
    tag: number,
  ): void;
  /**
   * The extent at `offset`: data, or a hole that reads as zeroes. Never longer than
   * `sizeBytes − offset`. A device that cannot know says data.
   */
  extentAt(offset: number): Promise<Extent>;
  /**
   * A second handle on the same open file description, for another thread: it shares the lock, so
   * the fence holds until both are closed (H22). Pass the value to `DeviceOpener.adopt`.
   */
  share(): SharedDevice;
  /** Resolves when every operation of this handle has completed and the handle is closed. */
  close(): Promise<void>;
}

export interface ZeroOptions {
  readonly mayUnmap: boolean;
  readonly fua: boolean;
}

export interface Extent {
  readonly length: number;
  readonly hole: boolean;
}

/** Plain data; crosses threads in a message. Must be adopted exactly once. */
export interface SharedDevice {
  readonly fd: number;
  readonly writable: boolean;
  readonly growable: boolean;
  readonly path: string;
  readonly sizeBytes: number;
  readonly logicalBlockBytes: number;
  readonly direct: boolean;
  readonly alignmentBytes: number;
}

export interface OpenOptions {
  readonly path: string;
  readonly access: 'read' | 'readwrite';
  /** `direct` is the default on block devices, `writeback` (page cache) on files. */
  readonly cache?: 'direct' | 'writeback';
  /** Make a missing regular file of this size (sparse). Without it a missing file is an error. */
  readonly createBytes?: number;
  /** A journal file: writes beyond the end extend it. */
  readonly growable?: boolean;
}

export interface DeviceOpener {
  /**
   * Opens and takes the exclusive lock on the very file description that does the I/O (H22): flock
   * on files, O_EXCL on block devices. Rejects with `TdmfError` TDMF_DEVICE_MISSING,
   * TDMF_DEVICE_BUSY (somebody else holds it), TDMF_DEVICE_PERMISSION or TDMF_DEVICE_FAILED.
   */
  open(options: OpenOptions): Promise<BlockDevice>;
  adopt(shared: SharedDevice): BlockDevice;
  /**
   * Private memory of this thread for I/O, resident from the start (Rule 52); `bytes` is zeroed and
   * aligned to 4096. Its number is 16 or higher.
   */
  allocate(byteCount: number): ArenaMemory;
  /**
   * Makes shared memory (the BAB) known to this thread's I/O core under an agreed number below 16,
   * so that (arena, offset) means the same in every thread. `bytes` starts at the first address in
   * it that is a multiple of 4096, the same place in every thread, and offsets count from there:
   * whoever makes the memory adds 4096 bytes.
   */
  attach(memory: SharedArrayBuffer, arena: number): ArenaMemory;
  /** No operation may be using it. */
  release(memory: ArenaMemory): void;
  readonly digest: Digest;
}

export interface ArenaMemory {
  readonly arena: number;
  readonly bytes: Uint8Array;
}

/** Checksums and compression over arena memory; synchronous, on the calling thread. */
export interface Digest {
  /** CRC-32C (Castagnoli) of the range, continued from `seed` (0 to begin). May be called unbound. */
  readonly crc32c: Crc32c;
  /**
   * XXH3-128 of the range, written as 16 bytes (canonical, big endian) into `out`. The seed's halves
   * are unsigned 32-bit numbers, 0 when left out (Rule 17).
   */
  xxh3(
    memory: Uint8Array,
    offset: number,
    length: number,
    out: Uint8Array,
    outOffset: number,
    seedLow?: number,
    seedHigh?: number,
  ): void;
  isZero(memory: Uint8Array, offset: number, length: number): boolean;
  /** LZ4 blocks; the ranges must not overlap. May be called unbound. */
  readonly lz4Compress: Lz4Compress;
  readonly lz4Decompress: Lz4Decompress;
}
