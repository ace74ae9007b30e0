/** The way from a PMD under test to real RMDs on a simulated computer, one session after the other. */
import type { Actor } from '../../src/actors/actor.js';
import { type RmdMessage, startRmd } from '../../src/actors/rmd.js';
import { mapBlockBytes } from '../../src/core/constants.js';
import { TdmfError } from '../../src/core/errors.js';
import type { DialTarget, LinkConnection, LinkDialer } from '../../src/ports/link.js';
import { SimNode, type SimProcess } from '../../src/testing/node.js';
import type { SimWorld } from '../../src/testing/world.js';
import { MemoryLink } from './memory-link.js';
import { type SimActorContext, simContext } from './sim-actor.js';

export class RealSecondary implements LinkDialer {
  readonly world: SimWorld;
  readonly node: SimNode;
  readonly contexts: SimActorContext[] = [];
  link: MemoryLink | undefined;
  up = true;
  #process: SimProcess;
  #sessions: Promise<Actor<RmdMessage>>[] = [];

  constructor(world: SimWorld, blocks: readonly number[]) {
    this.world = world;
    this.node = new SimNode(world, 'b');
    this.node.files.directories.add('/journal');
    for (const [index, count] of blocks.entries()) {
      this.node.addDisk(`/m${index}`, count * mapBlockBytes).live.fill(0xee);
    }
    this.#process = this.node.process();
  }

  async dial(_target: DialTarget, _signal: AbortSignal): Promise<LinkConnection> {
    if (!this.up) throw new TdmfError('TDMF_LINK_REFUSED');
    const [near, far] = MemoryLink.pair(this.world);
    this.link = near;
    const process = this.#process;
    const before = this.#sessions;
    this.#sessions = [];
    const session = `link0/${this.contexts.length}`;
    const context = simContext(this.world, process, session, async () => {
      const actors = await Promise.all(before);
      await Promise.all(actors.map((actor) => actor.stop()));
    });
    this.contexts.push(context);
    const devices = [...this.node.disks.keys()]
      .filter((path) => path.startsWith('/m'))
      .map((mirror, index) => ({ name: `d${index}`, mirror }));
    this.#sessions.push(
      startRmd(context, {
        group: 0,
        loopback: false,
        journal: '/journal',
        devices,
        session,
        connection: far,
        nodeId: 'node-b',
        version: 'test',
        home: '/home',
        supervisor: 'supervisor',
      }),
    );
    return near;
  }

  /** kill -9 or a power cut: nothing answers until `comeBack`. */
  fall(how: 'kill' | 'powerCut'): void {
    this.up = false;
    if (how === 'kill') this.node.kill();
    else this.node.powerCut();
    this.#sessions = [];
    this.link?.cut();
  }

  comeBack(): void {
    this.#process = this.node.process();
    this.up = true;
  }
}
