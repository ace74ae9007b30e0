/**
 * Small files and the directories that hold them: group state (`jGGG.meta`), `.off` marks, the
 * position page. Paths are absolute. Real: io/atomic-files.ts; simulated: SimStore, which tears
 * what was not made durable.
 */
export interface FileStore {
  /** The whole file, or undefined when there is none. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Replaces the file atomically: temp, fsync, rename, fsync directory. Old or new, never between. */
  replace(path: string, bytes: Uint8Array): Promise<void>;
  /** Removes durably; a missing file is fine. */
  remove(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Names in the directory, or undefined when there is no such directory. */
  list(directory: string): Promise<readonly string[] | undefined>;
  syncDirectory(directory: string): Promise<void>;
  /**
   * A 4096-byte page of shared memory backed by a file (created zeroed): a store survives the death
   * of the process at once, and a power cut only after `sync`.
   */
  openPage(path: string): Promise<DurablePage>;
  /** Which file lies behind the path: another after it was replaced, the same after it was written. */
  identify(path: string): Promise<FileIdentity>;
  /**
   * A text of at most 48 bytes that is another one after the object was written by anybody, as far as
   * the system tells (Rule 15c): times and size of a file, the write counters of a block device under
   * this boot. Empty: nobody can tell.
   */
  writeMark(path: string): Promise<string>;
  /** Changes with every boot of the machine (/proc/sys/kernel/random/boot_id). */
  bootId(): Promise<string>;
}

/** A zero says that nothing is known: of a block device, or where the file system does not tell. */
export interface FileIdentity {
  readonly inode: number;
  /** When it was made; file systems use the number of a file that was removed again. */
  readonly bornMs: number;
}

export interface DurablePage {
  readonly bytes: Uint8Array;
  sync(): Promise<void>;
  close(): Promise<void>;
}
