/**
 * The simulated network between primaries and secondaries: the LinkDialer and the LinkServer of each
 * simulated process, with the promises of the real ones (testing/contracts/link.ts), and faults that
 * a test or a seed may switch on: delay, stall, cut at any byte, half-open connections, a network
 * that is down, a process that dies. Time and chance come from the world only.
 */
import { strict as assert } from 'node:assert';
import { linkHandshakeMs } from '../core/constants.js';
import { TdmfError, type TdmfErrorCode } from '../core/errors.js';
import { decodeSecret } from '../core/psk.js';
import type {
  DialTarget,
  LinkClosed,
  LinkConnection,
  LinkDialer,
  LinkHandlers,
} from '../ports/link.js';
import type { LinkKey, LinkServer, LinkSession } from '../ports/link-server.js';
import { type SimLinkOptions, SimPipe } from './pipe.js';
import type { SimWorld } from './world.js';

const quickNetwork: SimLinkOptions = {
  delayMs: 0.05,
  jitterMs: 0.2,
  chunkBytesMax: 64 * 1024,
  windowBytes: 1024 * 1024,
  bytesPerMs: 0,
};

export class SimNetwork {
  readonly world: SimWorld;
  readonly options: SimLinkOptions;
  /** Links that are open, oldest first. */
  readonly links: SimLink[] = [];
  /** No packet passes: attempts time out, open links fall silent for good. */
  #down = false;
  readonly #listening = new Map<string, SimEndpoint>();
  /** Groups whose links lead nowhere while those of others work (H42). */
  readonly deadGroups = new Set<number>();

  constructor(world: SimWorld, options: Partial<SimLinkOptions> = {}) {
    this.world = world;
    this.options = { ...quickNetwork, ...options };
  }

  /** The network as one process sees it; `die` when the process does. */
  endpoint(name: string): SimEndpoint {
    return new SimEndpoint(this, name);
  }

  get down(): boolean {
    return this.#down;
  }

  set down(down: boolean) {
    this.#down = down;
    if (down) for (const link of this.links) link.goSilent();
  }

  listen(host: string, port: number, endpoint: SimEndpoint): void {
    this.#listening.set(`${host}:${port}`, endpoint);
  }

  leave(endpoint: SimEndpoint): void {
    for (const [place, known] of this.#listening) {
      if (known === endpoint) this.#listening.delete(place);
    }
  }

  /** Who listens there, as far as the network lets one see. */
  find(host: string, port: number): SimEndpoint | undefined {
    return this.#listening.get(`${host}:${port}`);
  }
}

/** One process's ports: `dialer`, and `server` once it listens. */
export class SimEndpoint {
  readonly name: string;
  readonly network: SimNetwork;
  readonly dialer: LinkDialer;
  readonly server: LinkServer;
  alive = true;
  #keys: { group: number; key: Uint8Array }[] = [];
  #accept: ((session: LinkSession) => void) | undefined;

  constructor(network: SimNetwork, name: string) {
    this.network = network;
    this.name = name;
    this.dialer = { dial: (target, signal) => this.#dial(target, signal) };
    this.server = {
      setKeys: (keys) => this.#setKeys(keys),
      serve: () => assert.fail('the simulated network has no descriptors'),
      onSession: (accept) => {
        this.#accept = accept;
      },
      close: () => {
        network.leave(this);
        return Promise.resolve();
      },
    };
  }

  listen(host: string, port: number): void {
    this.network.listen(host, port, this);
  }

  /** kill -9: its handlers are never called again, its peers see the connection reset. */
  die(): void {
    this.alive = false;
    this.network.leave(this);
    for (const link of this.network.links.slice()) link.ownerDied(this);
  }

  /** The group whose key it is; the identity says it, never a message (H34). */
  groupOf(key: Uint8Array): number | undefined {
    return this.#keys.find((known) => known.key.every((byte, index) => byte === key[index]))?.group;
  }

  accept(session: LinkSession): void {
    if (this.#accept === undefined) {
      session.connection.close(closedAs('TDMF_LINK_CLOSED', {}));
    } else {
      this.#accept(session);
    }
  }

  #setKeys(keys: readonly LinkKey[]): void {
    this.#keys = keys.flatMap(({ group, secret }) => {
      const key = decodeSecret(secret);
      return key === undefined ? [] : [{ group, key }];
    });
  }

  #dial({ host, port, key }: DialTarget, signal: AbortSignal): Promise<LinkConnection> {
    const { network } = this;
    const { world } = network;
    const peer = `${host}:${port}`;
    return new Promise((resolve, reject) => {
      const finish = (run: () => void): void => {
        timer.cancel();
        signal.removeEventListener('abort', giveUp);
        if (this.alive) run();
      };
      const refuse = (error: TdmfError): void => finish(() => reject(error));
      const giveUp = (): void => refuse(new TdmfError('TDMF_LINK_CLOSED'));
      let timer = world.after(network.options.delayMs * 3, 'dial', () => {
        const server = network.find(host, port);
        if (network.down) {
          const error = { peer, seconds: linkHandshakeMs / 1000 };
          timer = world.after(linkHandshakeMs, 'dial', () =>
            refuse(new TdmfError('TDMF_LINK_TIMEOUT', error)),
          );
          return;
        }
        if (server === undefined) {
          refuse(new TdmfError('TDMF_LINK_REFUSED', { host, port, errno: 'ECONNREFUSED' }));
          return;
        }
        const group = server.groupOf(key);
        if (group === undefined) {
          refuse(new TdmfError('TDMF_LINK_KEY', { peer }));
          return;
        }
        if (network.deadGroups.has(group)) {
          const error = { peer, seconds: linkHandshakeMs / 1000 };
          timer = world.after(linkHandshakeMs, 'dial', () =>
            refuse(new TdmfError('TDMF_LINK_TIMEOUT', error)),
          );
          return;
        }
        const link = new SimLink(network, this, server, group);
        finish(() => resolve(link.dialed));
        server.accept({ group, connection: link.accepted });
      });
      if (signal.aborted) giveUp();
      else signal.addEventListener('abort', giveUp);
    });
  }
}

/** One TCP connection: two ends, two pipes. Faults are methods here. */
export class SimLink {
  readonly network: SimNetwork;
  /** The primary's end and the secondary's end. */
  readonly dialed: SimConnection;
  readonly accepted: SimConnection;
  /** From the primary, and to it. */
  readonly forth: SimPipe;
  readonly back: SimPipe;
  readonly group: number;
  silent = false;

  constructor(network: SimNetwork, dialer: SimEndpoint, server: SimEndpoint, group = 0) {
    this.network = network;
    this.group = group;
    const { world, options } = network;
    const secret = Uint8Array.from({ length: 32 }, () => world.random.below(256));
    this.dialed = new SimConnection(this, dialer, server.name, secret);
    this.accepted = new SimConnection(this, server, dialer.name, secret.slice());
    this.forth = new SimPipe(world, options, endsOf(this, this.dialed, this.accepted));
    this.back = new SimPipe(world, options, endsOf(this, this.accepted, this.dialed));
    network.links.push(this);
  }

  pipeFrom(end: SimConnection): SimPipe {
    return end === this.dialed ? this.forth : this.back;
  }

  pipeTo(end: SimConnection): SimPipe {
    return end === this.dialed ? this.back : this.forth;
  }

  otherEnd(end: SimConnection): SimConnection {
    return end === this.dialed ? this.accepted : this.dialed;
  }

  /** The connection breaks now; what is under way is lost, and both sides are told, each in its time. */
  cut(): void {
    const { world } = this.network;
    for (const end of [this.dialed, this.accepted]) {
      world.soon(5, 'cut', () => end.lost('ECONNRESET'));
    }
    this.#forget();
    this.forth.close();
    this.back.close();
  }

  /** Nothing arrives any more and nobody is told: only heartbeats find out (Rule 51). */
  goSilent(): void {
    this.silent = true;
    this.forth.lossy = true;
    this.back.lossy = true;
  }

  /**
   * The primary loses the connection; the secondary hears nothing of it, still gets what was under
   * way, and meets the next session while this one is at work (H22, H34).
   */
  halfClose(): void {
    this.silent = true;
    this.back.lossy = true;
    const { world } = this.network;
    world.soon(5, 'cut', () => this.dialed.lost('ECONNRESET', false));
    this.#forget();
  }

  /** Neither direction moves for this long. */
  stall(forMs: number): void {
    this.forth.stall(forMs);
    this.back.stall(forMs);
  }

  ownerDied(owner: SimEndpoint): void {
    for (const end of [this.dialed, this.accepted]) {
      if (end.owner !== owner) continue;
      this.pipeFrom(end).close();
      this.pipeTo(end).close();
      this.tellOther(end, 'ECONNRESET');
    }
    this.#forget();
  }

  /** One end closed; the other hears it behind the last byte, unless nothing passes any more. */
  tellOther(end: SimConnection, why: string): void {
    this.#forget();
    const other = this.otherEnd(end);
    if (this.silent || !other.owner.alive) return;
    this.network.world.soon(1, 'close', () => other.lost(why));
  }

  #forget(): void {
    const { links } = this.network;
    const place = links.indexOf(this);
    if (place >= 0) links.splice(place, 1);
  }
}

/** One end of a SimLink. */
export class SimConnection implements LinkConnection {
  readonly owner: SimEndpoint;
  readonly peerAddress: string;
  readonly sessionSecret: Uint8Array;
  handlers: LinkHandlers = nobody;
  readonly #link: SimLink;
  #reason: LinkClosed | undefined;

  constructor(link: SimLink, owner: SimEndpoint, peerAddress: string, sessionSecret: Uint8Array) {
    this.#link = link;
    this.owner = owner;
    this.peerAddress = peerAddress;
    this.sessionSecret = sessionSecret;
  }

  get open(): boolean {
    return this.#reason === undefined && this.owner.alive;
  }

  send(bytes: Uint8Array, sent?: () => void): boolean {
    if (this.#reason === undefined) return this.#link.pipeFrom(this).send(bytes, sent);
    if (sent !== undefined) this.#later(sent);
    return true;
  }

  pause(): void {
    this.#link.pipeTo(this).pause(true);
  }

  resume(): void {
    this.#link.pipeTo(this).pause(false);
  }

  close(reason: LinkClosed): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    const { world } = this.#link.network;
    this.#link.pipeTo(this).close();
    // Last words still leave if the way is clear; then, or after half a second, it is over.
    const endsAt = world.now + 500;
    const check = (): void => {
      const leaving = this.#link.pipeFrom(this);
      if (leaving.idle || world.now >= endsAt || this.#link.silent) {
        leaving.close();
        this.#link.tellOther(this, 'the peer closed it');
        this.#tellClosed(reason);
      } else {
        world.after(1, 'close', check);
      }
    };
    world.after(0, 'close', check);
  }

  /** The network says so. `stops`: nothing that is under way arrives any more. */
  lost(why: string, stops = true): void {
    if (this.#reason !== undefined) return;
    this.#reason = closedAs('TDMF_LINK_LOST', { peer: this.peerAddress, why });
    if (stops) this.#link.pipeFrom(this).close();
    else this.#link.pipeFrom(this).end();
    this.#link.pipeTo(this).close();
    this.#tellClosed(this.#reason);
  }

  #tellClosed(reason: LinkClosed): void {
    this.#later(() => this.handlers.closed(reason));
  }

  #later(run: () => void): void {
    this.#link.network.world.after(0, 'link', () => {
      if (this.owner.alive) run();
    });
  }
}

const nobody: LinkHandlers = {
  data: () => assert.fail('handlers are set in the turn of the hand-over'),
  drained: () => assert.fail('handlers are set in the turn of the hand-over'),
  closed: () => undefined,
};

function endsOf(link: SimLink, sender: SimConnection, receiver: SimConnection) {
  return {
    deliver: (chunk: Uint8Array) => {
      if (receiver.open) receiver.handlers.data(chunk);
    },
    drained: () => {
      if (sender.open) sender.handlers.drained();
    },
    cut: () => link.cut(),
  };
}

function closedAs(code: TdmfErrorCode, details: Record<string, string>): LinkClosed {
  return { code, message: new TdmfError(code, details).message };
}
