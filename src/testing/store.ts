/**
 * Simulated small files. `replace` is atomic: a crash before it resolves leaves the old or the new
 * content, never between; after a power cut what was not synced (a page's stores, a rename whose
 * directory was not synced) is kept or lost by chance.
 */
import type { DurablePage, FileIdentity, FileStore } from '../ports/file-store.js';
import type { SimDisk } from './disk.js';
import type { SimWorld } from './world.js';

interface SimPage {
  readonly live: Uint8Array;
  durable: Uint8Array;
}

/** All small files at one instant. */
export interface FilesImage {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly pages: ReadonlyMap<string, Uint8Array>;
}

export class SimFiles implements FileStore {
  readonly #world: SimWorld;
  readonly #bootId: () => string;
  readonly #disks: Map<string, SimDisk>;
  readonly files = new Map<string, Uint8Array>();
  readonly pages = new Map<string, SimPage>();
  readonly directories = new Set<string>();
  /** Set to make every change fail with this error. */
  fault: ((operation: string, path: string) => Error | undefined) | undefined;
  /** Files of journals made or removed since their directory was synced last. */
  readonly #unsynced = new Map<string, SimDisk | undefined>();
  readonly #parent: SimFiles | undefined;
  readonly #alive: () => boolean;

  constructor(
    world: SimWorld,
    bootId: () => string,
    disks: Map<string, SimDisk>,
    parent?: SimFiles,
    alive: () => boolean = () => true,
  ) {
    this.#world = world;
    this.#bootId = bootId;
    this.#disks = disks;
    this.#parent = parent;
    this.#alive = alive;
    if (parent === undefined) return;
    this.files = parent.files;
    this.pages = parent.pages;
    this.directories = parent.directories;
    this.#unsynced = parent.#unsynced;
  }

  /** The files as one process sees them: when it dies, what it asked for never happens. */
  mortal(alive: () => boolean): SimFiles {
    return new SimFiles(this.#world, this.#bootId, this.#disks, this, alive);
  }

  /** A file for device I/O was made; its name is durable when the directory is synced. */
  created(path: string): void {
    if (!this.#unsynced.has(path)) this.#unsynced.set(path, undefined);
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    await this.#time('read', path);
    const bytes = this.files.get(path) ?? this.pages.get(path)?.live ?? this.#disks.get(path)?.live;
    return bytes?.slice();
  }

  async replace(path: string, bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    await this.#time('replace', path);
    this.files.set(path, copy);
    await this.#time('sync', path);
  }

  async remove(path: string): Promise<void> {
    await this.#time('remove', path);
    this.files.delete(path);
    this.pages.delete(path);
    const disk = this.#disks.get(path);
    if (disk === undefined) return;
    if (!this.#unsynced.has(path)) this.#unsynced.set(path, disk);
    this.#disks.delete(path);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#time('rename', from);
    const bytes = this.files.get(from);
    if (bytes !== undefined) {
      this.files.set(to, bytes);
      this.files.delete(from);
    }
    const disk = this.#disks.get(from);
    if (disk !== undefined) {
      this.#disks.set(to, disk);
      this.#disks.delete(from);
    }
  }

  async list(directory: string): Promise<readonly string[] | undefined> {
    await this.#time('list', directory);
    const prefix = directory.endsWith('/') ? directory : `${directory}/`;
    const names = [...this.files.keys(), ...this.pages.keys(), ...this.#disks.keys()]
      .filter((path) => path.startsWith(prefix) && !path.slice(prefix.length).includes('/'))
      .map((path) => path.slice(prefix.length));
    if (names.length === 0 && !this.directories.has(directory)) return undefined;
    return [...new Set(names)].toSorted();
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.#time('syncDirectory', directory);
    const prefix = directory.endsWith('/') ? directory : `${directory}/`;
    for (const path of this.#unsynced.keys()) {
      if (path.startsWith(prefix)) this.#unsynced.delete(path);
    }
  }

  async openPage(path: string): Promise<DurablePage> {
    await this.#time('openPage', path);
    let page = this.pages.get(path);
    if (page === undefined) {
      page = { live: new Uint8Array(new SharedArrayBuffer(4096)), durable: new Uint8Array(4096) };
      this.pages.set(path, page);
    }
    const held = page;
    return {
      bytes: held.live,
      sync: async () => {
        const snapshot = held.live.slice();
        await this.#time('syncPage', path);
        held.durable = snapshot;
      },
      close: () => Promise.resolve(),
    };
  }

  async identify(path: string): Promise<FileIdentity> {
    await this.#time('identify', path);
    return { inode: this.#disks.get(path)?.inode ?? 0, bornMs: 0 };
  }

  async writeMark(path: string): Promise<string> {
    await this.#time('writeMark', path);
    const disk = this.#disks.get(path);
    return disk === undefined ? '' : `${disk.inode}.${disk.landings}`;
  }

  bootId(): Promise<string> {
    return Promise.resolve(this.#bootId());
  }

  powerCut(): void {
    // A name that was made or removed, and whose directory was not synced, is as before or as after.
    for (const [path, before] of this.#unsynced) {
      if (this.#world.random.chance(1, 2)) continue;
      if (before === undefined) this.#disks.delete(path);
      else {
        before.powerCut();
        this.#disks.set(path, before);
      }
    }
    this.#unsynced.clear();
    for (const page of this.pages.values()) {
      // Page stores that were not synced: each sector is kept or lost.
      for (let at = 0; at < 4096; at += 512) {
        const keep = this.#world.random.chance(1, 2);
        const from = keep ? page.live : page.durable;
        const sector = from.slice(at, at + 512);
        page.live.set(sector, at);
        page.durable.set(sector, at);
      }
    }
  }

  snapshot(): FilesImage {
    const pages = new Map([...this.pages].map(([path, { live }]) => [path, live.slice()] as const));
    return { files: new Map(this.files), pages };
  }

  restore(image: FilesImage): void {
    this.files.clear();
    for (const [path, bytes] of image.files) this.files.set(path, bytes);
    for (const path of this.pages.keys()) if (!image.pages.has(path)) this.pages.delete(path);
    for (const [path, bytes] of image.pages) {
      // Memory of its own: a process that is dead has mapped the old one.
      const live = new Uint8Array(new SharedArrayBuffer(bytes.length));
      live.set(bytes);
      this.pages.set(path, { live, durable: bytes.slice() });
    }
    this.#unsynced.clear();
  }

  #time(operation: string, path: string): Promise<void> {
    const error = (this.#parent ?? this).fault?.(operation, path);
    return new Promise((resolve, reject) => {
      this.#world.soon(2, `file ${operation}`, () => {
        if (!this.#alive()) return;
        if (error === undefined) resolve();
        else reject(error);
      });
    });
  }
}
