/**
 * What ports/link.ts and ports/link-server.ts promise, as cases that run against any implementation:
 * real TLS and the simulated network. A case fails by throwing. It does not test faults of the
 * network, which only the simulation can make at will.
 */
import { strict as assert } from 'node:assert';
import { isTdmfError } from '../../core/errors.js';
import type {
  DialTarget,
  LinkClosed,
  LinkConnection,
  LinkDialer,
  LinkHandlers,
} from '../../ports/link.js';
import type { LinkServer, LinkSession } from '../../ports/link-server.js';

export interface LinkWorld {
  readonly dialer: LinkDialer;
  readonly server: LinkServer;
  /** Where the server is, and where nobody is. */
  readonly place: { readonly host: string; readonly port: number };
  readonly nowhere: { readonly host: string; readonly port: number };
  /** Lets the world go on until `done`; throws, naming `what`, when that takes too long. */
  until(done: () => boolean, what: string): Promise<void>;
  close(): Promise<void>;
}

export interface ContractCase {
  readonly name: string;
  run(): Promise<void>;
}

export function linkContract(setup: () => Promise<LinkWorld>): ContractCase[] {
  return Object.entries(cases).map(([name, run]) => ({
    name,
    async run() {
      const world = await setup();
      const stage = new Stage(world);
      try {
        await run(stage);
      } finally {
        await stage.end();
        await world.close();
      }
    },
  }));
}

const cases: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  'bytes of any sizes arrive in order, both ways, and the memory comes back': async (stage) => {
    const { near, far } = await stage.connect(1);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      const sizes = [1, 64, 0, 48, 100_000, 3, 262_144, 7];
      let back = 0;
      sizes.forEach((size, index) => {
        from.connection.send(new Uint8Array(size).fill(index + 1), () => {
          back += 1;
        });
      });
      const total = sizes.reduce((sum, size) => sum + size, 0);
      await stage.until(() => to.bytes >= total && back === sizes.length, 'all arrives');
      const expected = sizes.flatMap((size, index) => Array<number>(size).fill(index + 1));
      assert.deepEqual([...to.content()], expected);
    }
  },

  'the key says which group a session is for (H34)': async (stage) => {
    const one = await stage.connect(1);
    const two = await stage.connect(2);
    assert.equal(one.group, 1);
    assert.equal(two.group, 2);
  },

  'both ends have the same secret, other sessions have another': async (stage) => {
    const first = await stage.connect(1);
    const second = await stage.connect(1);
    assert.equal(first.near.connection.sessionSecret.length, 32);
    assert.deepEqual(
      [...first.near.connection.sessionSecret],
      [...first.far.connection.sessionSecret],
    );
    assert.notDeepEqual(
      [...first.near.connection.sessionSecret],
      [...second.near.connection.sessionSecret],
    );
  },

  'a key that the other side does not have is refused (I13)': async (stage) => {
    assert.equal(await stage.refusal(stage.target(9)), 'TDMF_LINK_KEY');
    assert.equal(stage.accepted.length, 0);
  },

  'keys are replaced at once, open sessions go on': async (stage) => {
    const { near, far } = await stage.connect(1);
    stage.world.server.setKeys([{ group: 7, secret: secretOf(2) }]);
    assert.equal(await stage.refusal(stage.target(1)), 'TDMF_LINK_KEY');
    near.connection.send(Uint8Array.of(5));
    await stage.until(() => far.bytes === 1, 'the open session goes on');
    assert.equal((await stage.connect(2)).group, 7);
  },

  'where nobody listens a connection is refused': async (stage) => {
    const target = { ...stage.target(1), ...stage.world.nowhere };
    assert.equal(await stage.refusal(target), 'TDMF_LINK_REFUSED');
  },

  'an attempt that is given up ends': async (stage) => {
    const before = new AbortController();
    before.abort();
    assert.equal(await stage.refusal(stage.target(1), before.signal), 'TDMF_LINK_CLOSED');
    const during = new AbortController();
    const refusal = stage.refusal(stage.target(1), during.signal);
    during.abort();
    assert.equal(await refusal, 'TDMF_LINK_CLOSED');
  },

  'last words arrive, then each end hears exactly once that it is over': async (stage) => {
    const { near, far } = await stage.connect(1);
    near.connection.send(Uint8Array.of(1, 2, 3));
    near.connection.close({ code: 'TDMF_LINK_REPLACED', message: 'another came' });
    near.connection.close({ code: 'TDMF_LINK_CLOSED', message: 'again' });
    await stage.until(() => near.closed.length > 0 && far.closed.length > 0, 'both hear it');
    await stage.settle();
    assert.deepEqual([...far.content()], [1, 2, 3]);
    assert.deepEqual(near.closed, [{ code: 'TDMF_LINK_REPLACED', message: 'another came' }]);
    assert.deepEqual(
      far.closed.map(({ code }) => code),
      ['TDMF_LINK_LOST'],
    );
  },

  'nothing is delivered to an end that closed': async (stage) => {
    const { near, far } = await stage.connect(1);
    far.connection.send(new Uint8Array(100_000));
    near.connection.close({ code: 'TDMF_LINK_CLOSED', message: 'enough' });
    await stage.until(() => near.closed.length > 0 && far.closed.length > 0, 'both hear it');
    assert.equal(near.bytes, 0);
    assert.equal(near.afterClosed, 0);
  },

  'a receiver that pauses makes the sender wait, and nothing is lost': async (stage) => {
    const { near, far } = await stage.connect(1);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      to.connection.pause();
      const piece = new Uint8Array(262_144).fill(7);
      let sentBytes = 0;
      let back = 0;
      let more = true;
      while (more && sentBytes < 64 * piece.length) {
        more = from.connection.send(piece, () => {
          back += 1;
        });
        sentBytes += piece.length;
      }
      assert.equal(more, false, 'send says when to wait');
      assert.equal(from.drained, 0);
      to.connection.resume();
      await stage.until(() => to.bytes === sentBytes && from.drained === 1, 'all arrives');
      await stage.until(() => back === sentBytes / piece.length, 'the memory comes back');
    }
  },

  'a paused end is delivered nothing until it resumes': async (stage) => {
    const { near, far } = await stage.connect(1);
    far.connection.pause();
    near.connection.send(Uint8Array.of(1));
    await stage.settle();
    assert.equal(far.bytes, 0);
    far.connection.resume();
    await stage.until(() => far.bytes === 1, 'it arrives');
  },

  'memory comes back before an end hears that it is over': async (stage) => {
    const { near, far } = await stage.connect(1);
    far.connection.pause();
    const order: string[] = [];
    near.onClosed = () => order.push('closed');
    let pieces = 0;
    for (let more = true; more; pieces += 1) {
      more = near.connection.send(new Uint8Array(262_144), () => order.push('back'));
    }
    near.connection.close({ code: 'TDMF_LINK_CLOSED', message: 'enough' });
    await stage.until(() => order.includes('closed'), 'it is over');
    assert.deepEqual(order, [...Array<string>(pieces).fill('back'), 'closed']);
  },

  'memory sent after the end comes back too': async (stage) => {
    const { near } = await stage.connect(1);
    near.connection.close({ code: 'TDMF_LINK_CLOSED', message: 'enough' });
    let back = 0;
    near.connection.send(new Uint8Array(10), () => {
      back += 1;
    });
    assert.equal(back, 0, 'not from within send');
    await stage.until(() => back === 1, 'the memory comes back');
    await stage.until(() => near.closed.length === 1, 'it is over');
    near.connection.send(new Uint8Array(10), () => {
      back += 1;
    });
    await stage.until(() => back === 2, 'the memory comes back');
  },

  'one session that ends leaves the others alone (I11)': async (stage) => {
    const one = await stage.connect(1);
    const two = await stage.connect(2);
    one.near.connection.close({ code: 'TDMF_LINK_CLOSED', message: 'enough' });
    await stage.until(() => one.far.closed.length === 1, 'it is over');
    two.near.connection.send(Uint8Array.of(1));
    await stage.until(() => two.far.bytes === 1, 'the other goes on');
  },
};

/** A secret of 32 bytes for a group, as in a .cfg file. */
export function secretOf(group: number): string {
  return btoa(String.fromCharCode(...keyOf(group)));
}

export function keyOf(group: number): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, index) => (group * 37 + index * 11) & 0xff);
}

/** One end of a session, with everything it heard. */
export class LinkEnd {
  readonly connection: LinkConnection;
  readonly closed: LinkClosed[] = [];
  bytes = 0;
  drained = 0;
  afterClosed = 0;
  onClosed: (() => void) | undefined;
  readonly #chunks: Uint8Array[] = [];

  constructor(connection: LinkConnection) {
    this.connection = connection;
    const handlers: LinkHandlers = {
      data: (chunk) => {
        if (this.closed.length > 0) this.afterClosed += 1;
        this.#chunks.push(chunk.slice());
        this.bytes += chunk.length;
      },
      drained: () => {
        if (this.closed.length > 0) this.afterClosed += 1;
        this.drained += 1;
      },
      closed: (reason) => {
        this.closed.push(reason);
        this.onClosed?.();
      },
    };
    connection.handlers = handlers;
  }

  /** All bytes so far. */
  content(): Uint8Array {
    const all = new Uint8Array(this.bytes);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}

interface ConnectedPair {
  readonly near: LinkEnd;
  readonly far: LinkEnd;
  readonly group: number;
}

/** Groups 1 and 2 are known to the server; every connection made here is closed at the end. */
class Stage {
  readonly world: LinkWorld;
  readonly accepted: { group: number; end: LinkEnd }[] = [];
  readonly #ends: LinkEnd[] = [];

  constructor(world: LinkWorld) {
    this.world = world;
    world.server.setKeys([1, 2].map((group) => ({ group, secret: secretOf(group) })));
    world.server.onSession(({ group, connection }: LinkSession) => {
      const end = new LinkEnd(connection);
      this.accepted.push({ group, end });
      this.#ends.push(end);
    });
  }

  target(group: number): DialTarget {
    return { ...this.world.place, key: keyOf(group), tcpWindowBytes: 0 };
  }

  until(done: () => boolean, what: string): Promise<void> {
    return this.world.until(done, what);
  }

  /** Lets the world go on a little, for things that must not happen. */
  async settle(): Promise<void> {
    let turns = 0;
    await this.world.until(() => ++turns > 20, 'some turns pass');
  }

  async connect(group: number): Promise<ConnectedPair> {
    const before = this.accepted.length;
    let near: LinkEnd | undefined;
    let failure: unknown;
    this.world.dialer.dial(this.target(group), new AbortController().signal).then(
      (connection) => {
        near = new LinkEnd(connection);
        this.#ends.push(near);
      },
      (error: unknown) => {
        failure = error;
      },
    );
    await this.until(
      () => failure !== undefined || (near !== undefined && this.accepted.length > before),
      `a connection for group ${group}`,
    );
    if (failure !== undefined) throw failure;
    const { group: told, end } = this.accepted[before]!;
    return { near: near!, far: end, group: told };
  }

  /** The code with which an attempt fails. */
  async refusal(target: DialTarget, signal = new AbortController().signal): Promise<string> {
    let outcome: string | undefined;
    this.world.dialer.dial(target, signal).then(
      (connection) => {
        this.#ends.push(new LinkEnd(connection));
        outcome = 'connected';
      },
      (error: unknown) => {
        outcome = isTdmfError(error) ? error.code : String(error);
      },
    );
    await this.until(() => outcome !== undefined, 'the attempt ends');
    return outcome!;
  }

  async end(): Promise<void> {
    for (const { connection } of this.#ends) {
      connection.close({ code: 'TDMF_LINK_CLOSED', message: 'the case is over' });
    }
    await this.until(
      () => this.#ends.every(({ closed }) => closed.length === 1),
      'every end hears exactly once that it is over',
    );
    assert.deepEqual(
      this.#ends.map(({ afterClosed }) => afterClosed),
      this.#ends.map(() => 0),
      'nothing is delivered after closed',
    );
  }
}
