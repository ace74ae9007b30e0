/**
 * The secondary of a simulated pair: the link host of the product, with an RMD for every session, on
 * one simulated thread. Main's admission (src/server/secondary-groups.ts) is here: one session per
 * group, and a newcomer waits until the earlier one has ended (Rules 22, 34).
 */
import { strict as assert } from 'node:assert';
import type { Actor } from '../actors/actor.js';
import { type SecondaryGroup, startLinkHost } from '../actors/link-host.js';
import { isTdmfError } from '../core/errors.js';
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
const linkHost = 'link0';

export class SimSecondary {
  readonly node: SimNode;
  host: SimHost | undefined;
  /** An RMD ended with an error that is no trouble of the link. */
  onFailure: ((id: string, error: unknown) => void) | undefined;
  onEvent: ((type: string, payload: Readonly<Record<string, unknown>>) => void) | undefined;
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
      messageMs: this.#options.messageMs,
      onEvent: (type, payload) => this.onEvent?.(type, payload),
      onFailed: (id, error) => this.#failed(host, id, error),
      // The link host keeps the bugs of one session in; here they end the run.
      onError: (id, fields) => {
        const error = fields?.['error'];
        if (error !== undefined && !isTdmfError(error)) this.#failed(host, id, error);
      },
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
    await main.actors.start(linkHost, startLinkHost, {
      nodeId: 'node-b',
      version: '0.1.0',
      home: '/home',
      supervisor,
    });
    if (this.host !== host) return;
    await host.ask(linkHost, { kind: 'link.groups', groups: this.#groups() });
    if (this.host === host) endpoint.listen(secondaryAddress.host, secondaryAddress.port);
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

  #groups(): SecondaryGroup[] {
    const { groups, deviceBytes, direct } = this.#options;
    const cache = direct ? ('direct' as const) : ('writeback' as const);
    return Array.from({ length: groups }, (_, group) => ({
      group,
      secret: secretOf(group),
      loopback: false,
      journal: journalDirectory,
      chaining: false,
      windowBytes: this.#options.windowBytes,
      devices: deviceBytes.map((_bytes, device) => ({
        name: deviceName(device),
        mirror: mirrorPath(group, device),
        cache,
      })),
    }));
  }

  #admit(host: SimHost, question: unknown): Promise<void> {
    const { group, session } = question as { group: number; session: string };
    const before = this.#turns.get(group) ?? Promise.resolve();
    const turn = before.then(async () => {
      const earlier = this.#admitted.get(group);
      if (earlier !== undefined && earlier !== session) {
        const code = 'TDMF_LINK_REPLACED';
        await host.ask(linkHost, { kind: 'link.end', session: earlier, code });
      }
      this.#admitted.set(group, session);
    });
    this.#turns.set(group, turn);
    return turn;
  }

  #failed(host: SimHost, id: string, error: unknown): void {
    this.#world.trace(
      `secondary ${id} ended: ${error instanceof Error ? error.stack : String(error)}`,
    );
    if (this.host !== host) return;
    this.onFailure?.(id, error);
  }
}
