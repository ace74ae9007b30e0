/** A simulated secondary: a computer with mirrors and a journal directory, and RMDs that come and go. */
import type { Actor } from '../../src/actors/actor.js';
import { type RmdMessage, type RmdOptions, startRmd } from '../../src/actors/rmd.js';
import { crc32c } from '../../src/core/checksum.js';
import { decodeMeta, type MirrorRecord } from '../../src/core/meta.js';
import type { Hello, Welcome } from '../../src/core/wire/messages.js';
import { SimNode, type SimProcess } from '../../src/testing/node.js';
import { SimWorld } from '../../src/testing/world.js';
import { FakePrimary, helloOf } from './fake-primary.js';
import { MemoryLink } from './memory-link.js';
import { type SimActorContext, simContext } from './sim-actor.js';

export const journalDirectory = '/journal';
export const metaPath = `${journalDirectory}/j007.meta`;

export interface Session {
  readonly primary: FakePrimary;
  readonly rmd: Actor<RmdMessage>;
  readonly context: SimActorContext;
}

export class Secondary {
  readonly world: SimWorld;
  readonly node: SimNode;
  process: SimProcess;
  sessions = 0;
  readonly admitted: string[] = [];
  /** How often main was asked to let go of the mirrors; it throws when `release` does. */
  releases = 0;
  release: () => void = () => undefined;
  /** Replaces the answer of main. */
  admit: () => Promise<void> = () => Promise.resolve();

  constructor(seed = 1, sizes: readonly number[] = [64 * 1024]) {
    this.world = new SimWorld(seed);
    this.node = new SimNode(this.world, 'b');
    this.node.files.directories.add(journalDirectory);
    for (const [index, size] of sizes.entries()) this.node.addDisk(`/m${index}`, size);
    this.process = this.node.process();
  }

  get record(): MirrorRecord | undefined {
    const bytes = this.node.files.files.get(metaPath);
    if (bytes === undefined) return undefined;
    const record = decodeMeta(bytes, crc32c);
    return typeof record === 'string' ? undefined : record;
  }

  /** kill -9, or a power cut, and a new process; what was in flight has landed. */
  async restart(how: 'kill' | 'powerCut'): Promise<void> {
    if (how === 'kill') this.node.kill();
    else this.node.powerCut();
    await this.world.run(20);
    this.process = this.node.process();
  }

  async session(options: Partial<RmdOptions> = {}): Promise<Session> {
    const { world } = this;
    const [near, far] = MemoryLink.pair(world);
    const session = `link0/${++this.sessions}`;
    const context = simContext(world, this.process, session, async (_to, question) => {
      if ((question as { kind: string }).kind === 'rmd.releaseMirrors') {
        this.releases += 1;
        this.release();
        return;
      }
      this.admitted.push((question as { session: string }).session);
      await this.admit();
    });
    const devices = [...this.node.disks.keys()]
      .filter((path) => path.startsWith('/m'))
      .map((mirror, index) => ({ name: `d${index}`, mirror }));
    const rmd = await startRmd(context, {
      group: 7,
      loopback: false,
      journal: journalDirectory,
      devices,
      session,
      connection: far,
      nodeId: 'node-b',
      version: '0.1.0',
      home: '/home',
      supervisor: 'supervisor',
      ...options,
    });
    return { primary: new FakePrimary(near), rmd, context };
  }

  /** A session that got as far as WELCOME. */
  async welcomed(
    hello: Partial<Hello> = {},
    options: Partial<RmdOptions> = {},
  ): Promise<Session & { readonly welcome: Welcome }> {
    const session = await this.session(options);
    session.primary.say(helloOf(hello));
    const welcome = await this.heard(session.primary, 'welcome');
    return { ...session, welcome };
  }

  async heard<Kind extends Parameters<FakePrimary['message']>[0]>(
    primary: FakePrimary,
    kind: Kind,
  ): Promise<NonNullable<ReturnType<typeof primary.message<Kind>>>> {
    await this.world.until(
      () => primary.message(kind) !== undefined || primary.link.closed !== undefined,
      60_000,
      `${kind} of the secondary`,
    );
    const message = primary.message(kind);
    if (message === undefined) {
      throw new Error(
        `no ${kind}, but ${JSON.stringify(primary.messages)}\n${this.world.lastTrace(30)}`,
      );
    }
    return message;
  }

  /** Ends the session in order, and waits for its devices. */
  async stop(session: Session): Promise<void> {
    await this.world.settled(session.rmd.stop());
  }

  /** Names of the group's journal files. */
  get journal(): string[] {
    return [...this.node.disks.keys()]
      .filter((path) => path.startsWith(`${journalDirectory}/`))
      .map((path) => path.slice(journalDirectory.length + 1))
      .toSorted();
  }

  mirror(index = 0): Uint8Array {
    return this.node.disk(`/m${index}`).live;
  }
}
