/**
 * Loads the C++ addon, once per thread, and says what it exports. The addon is built by
 * `npm run build:native` into native/build/Release below the package root; this file lies in
 * dist/src/io when it runs, so the root is looked for upwards. native/README.md describes the calls.
 *
 * Keeps no state but the loaded module. Everything that decides lies in the files that call it.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Lz4Compress, Lz4Decompress } from '../core/wire/lz4.js';

export interface NativeRing {
  addDevice(
    fd: number,
    writable: boolean,
    growable: boolean,
    sizeBytes: number,
    alignmentBytes: number,
  ): number;
  addSocket(fd: number): number;
  fileSize(file: number): number;
  setArena(arena: number, bytes: Uint8Array): void;
  clearArena(arena: number): void;
  /** Returns how many entries the kernel has not taken yet. */
  submit(count: number): number;
  /** Returns how many completions now stand in the shared table. */
  reap(): number;
  limitWorkers(bounded: number, unbounded: number): void;
  close(): void;
}

export interface NativeRingConstructor {
  new (
    records: Uint8Array,
    pieces: Uint8Array,
    completions: Uint8Array,
    wake: (count: number) => void,
  ): NativeRing;
}

export interface NativeFacts {
  readonly fd: number;
  readonly sizeBytes: number;
  readonly logicalBlockBytes: number;
  readonly alignmentBytes: number;
  readonly direct: boolean;
  readonly block: boolean;
}

export interface NativeAddon {
  readonly Ring: NativeRingConstructor;
  readonly constants: Readonly<Record<string, number>>;
  probe(): number;
  openDevice(
    path: string,
    write: boolean,
    directOnBlock: boolean,
    directOnFile: boolean,
    create: boolean,
    createBytes: number,
    lockWaitMs: number,
  ): Promise<NativeFacts>;
  setIoFlusher(): number;
  adoptFd(fd: number): void;
  dupFd(fd: number): number;
  closeFd(fd: number): Promise<void>;
  fallocate(
    fd: number,
    punch: boolean,
    extend: boolean,
    offset: number,
    length: number,
  ): Promise<void>;
  seekExtent(fd: number, offset: number, end: number): Promise<number>;
  prepareSocket(fd: number): void;
  shutdownSocket(fd: number): void;
  mapPage(path: string): Promise<Uint8Array>;
  syncPage(page: Uint8Array): Promise<void>;
  unmapPage(page: Uint8Array): void;
  addressModulo(bytes: Uint8Array, modulo: number): number;
  crc32c(
    memory: Uint8Array,
    offset: number,
    length: number,
    seed?: number,
    software?: boolean,
  ): number;
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
  readonly lz4Compress: Lz4Compress;
  readonly lz4Decompress: Lz4Decompress;
}

export const native: NativeAddon = load();

function load(): NativeAddon {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Error('the package root was not found above this file');
    directory = parent;
  }
  const path = join(directory, 'native', 'build', 'Release', 'tdmf.node');
  if (!existsSync(path)) {
    throw new Error(`${path} is missing: run npm run build:native`);
  }
  return createRequire(import.meta.url)(path) as NativeAddon;
}
