/**
 * The secondary of a simulated pair: a host that accepts sessions from the network and gives each an
 * RMD of the product. It stands for the link host and for main's admission (src/server): one session
 * per group, and a newcomer waits until the earlier one has ended (Rules 22, 34).
 */
import { strict as assert } from 'node:assert';
import type { Actor } from '../actors/actor.js';
import { type RmdOptions, startRmd } from '../actors/rmd.js';
import type { LinkSession } from '../ports/link-server.js';
import {
  type ClusterOptions,
  deviceName,
  journalDirectory,
  mirrorPath,
  secondaryAddress,
  secretOf,
} from './cluster-options.js';
import type { SimNetwork } from './link.js';
import { SimNode } from './node.js';
import { SimHost } from './sim-host.js';
import type { SimWorld } from './world.js';

const supervisor = 'supervisor';

export class SimSecondary {
  readonly node: SimNode;
  host: SimHost | undefined;
  /** An RMD ended with an error that is no trouble of the link. */
  onFailure: ((id: string, error: unknown) => void) | undefined;
  onEvent: ((type: string, payload: Readonly<Record<string, unknown>>) => void) | undefined;
  /** Sessions that were begun. */
  sessions = 0;
  readonly #network: SimNetwork;
  readonly #options: ClusterOptions;
  readonly #admitted = new Map<number, string>();
  readonly #turns = new Map<number, Promise<unknown>>();
  readonly #world: SimWorld;

  constructor(world: SimWorld, network: SimNetwork, options: ClusterOptions) {
    this.#world = world;
    this.#network = network;
    this.#options = options;
    this.node = new SimNode(world, 'secondary');
    this.node.files.directories.add(journalDirectory);
    const { groups, deviceBytes, logicalBlockBytes, mirrorMs } = options;
    for (let group = 0; group < groups; group++) {
      for (const [device, bytes] of deviceBytes.entries()) {
        const path = mirrorPath(group, device);
        const disk = this.node.addDisk(path, bytes, { logicalBlockBytes, latencyMsMax: mirrorMs });
        // What was there before is nobody's data.
        disk.live.fill(0xee);
        disk.durable.fill(0xee);
      }
    }
  }

  get running(): boolean {
    return this.host !== undefined;
  }

  async start(): Promise<void> {
    assert.ok(this.host === undefined, 'the secondary runs once');
    const host = new SimHost({
      node: this.node,
      network: this.#network,
      onEvent: (type, payload) => this.onEvent?.(type, payload),
      onFailed: (id, error) => this.#failed(host, id, error),
    });
    this.host = host;
    this.#admitted.clear();
    this.#turns.clear();
    const answers: Actor<never> = {
      receive: () => undefined,
      ask: (question) => this.#admit(host, question),
      stop: () => Promise.resolve(),
    };
    const { endpoint, main } = host;
    await main.actors.start(supervisor, () => Promise.resolve(answers), undefined);
    if (this.host !== host) return;
    const groups = Array.from({ length: this.#options.groups }, (_, group) => group);
    endpoint.server.setKeys(groups.map((group) => ({ group, secret: secretOf(group) })));
    endpoint.server.onSession((session) => this.#begin(host, session));
    endpoint.listen(secondaryAddress.host, secondaryAddress.port);
  }

  /** A clean stop: every session ends in order. */
  async stop(): Promise<void> {
    const { host } = this;
    if (host === undefined) return;
    await host.endpoint.server.close();
    const { actors } = host.main;
    await Promise.all(actors.ids.map((id) => actors.stop(id)));
    if (this.host !== host) return;
    this.host = undefined;
    host.kill();
  }

  kill(): void {
    const { host } = this;
    this.host = undefined;
    host?.kill();
  }

  powerCut(silently: boolean): void {
    const { host } = this;
    this.host = undefined;
    if (host === undefined) this.node.powerCut();
    else host.powerCut(silently);
  }

  #begin(host: SimHost, { group, connection }: LinkSession): void {
    const session = `link0/${++this.sessions}`;
    const { deviceBytes, direct } = this.#options;
    const cache = direct ? ('direct' as const) : ('writeback' as const);
    const options: RmdOptions = {
      group,
      loopback: false,
      journal: journalDirectory,
      devices: deviceBytes.map((_, device) => ({
        name: deviceName(device),
        mirror: mirrorPath(group, device),
        cache,
      })),
      session,
      connection,
      nodeId: 'node-b',
      version: '0.1.0',
      home: '/home',
      supervisor,
    };
    host.main.actors
      .start(session, startRmd, options)
      .catch((error: unknown) => this.#failed(host, session, error));
  }

  #admit(host: SimHost, question: unknown): Promise<void> {
    const { group, session } = question as { group: number; session: string };
    const before = this.#turns.get(group) ?? Promise.resolve();
    const turn = before.then(async () => {
      const earlier = this.#admitted.get(group);
      if (earlier !== undefined && earlier !== session) await host.main.actors.stop(earlier);
      this.#admitted.set(group, session);
    });
    this.#turns.set(group, turn);
    return turn;
  }

  #failed(host: SimHost, id: string, error: unknown): void {
    this.#world.trace(`secondary ${id} ended: ${error instanceof Error ? error.stack : error}`);
    if (this.host !== host) return;
    this.onFailure?.(id, error);
    host.main.actors.stop(id).catch((problem: unknown) => this.onFailure?.(id, problem));
  }
}
