/**
 * Where primaries arrive: one such actor per host thread. Main gives it accepted connections by
 * descriptor; TLS ends here, and each authenticated session gets an RMD that lives in this thread
 * with it. A session's failure ends that session only (I11): the primary connects again.
 */
import { isTdmfError, TdmfError } from '../core/errors.js';
import type { LinkSession } from '../ports/link-server.js';
import type { Actor, ActorContext } from './actor.js';
import { guardClock } from './guarded-clock.js';
import { type RmdMessage, type RmdQuestion, startRmd } from './rmd.js';

/** A group of which this host is the secondary, from its s###.cfg. */
export interface SecondaryGroup {
  readonly group: number;
  readonly secret: string;
  readonly loopback: boolean;
  readonly journal: string;
  readonly chaining: boolean;
  readonly devices: readonly {
    readonly name: string;
    readonly mirror: string;
    readonly cache?: 'direct' | 'writeback';
  }[];
}

export interface LinkHostOptions {
  readonly nodeId: string;
  readonly version: string;
  readonly home: string;
  /** The actor on main that admits sessions (Rule 22, Rule 34). */
  readonly supervisor: string;
}

export type LinkHostMessage = { readonly type: 'link.serve'; readonly fd: number };

export type LinkHostQuestion =
  | { readonly kind: 'link.groups'; readonly groups: readonly SecondaryGroup[] }
  /** Ends the session and resolves when its device I/O is done. */
  | { readonly kind: 'link.end'; readonly session: string; readonly code: 'TDMF_LINK_REPLACED' }
  /** To the RMD of a session: `{answer}`, or nothing when there is no such session any more. */
  | { readonly kind: 'link.ask'; readonly session: string; readonly question: RmdQuestion }
  | { readonly kind: 'link.status' };

export interface SessionStatus {
  readonly session: string;
  readonly group: number;
  readonly peer: string;
  readonly rmd: unknown;
}

interface Session {
  readonly group: number;
  /** The s###.cfg it runs by. */
  readonly config: SecondaryGroup;
  readonly peer: string;
  /** The session's RMD; rejects when it could not start. */
  readonly rmd: Promise<Actor<RmdMessage>>;
  /** Ends the session and resolves when its I/O is done; the same promise however often asked. */
  readonly end: () => Promise<void>;
}

export async function startLinkHost(
  context: ActorContext,
  options: LinkHostOptions,
): Promise<Actor<LinkHostMessage>> {
  const sessions = new Map<string, Session>();
  let groups = new Map<number, SecondaryGroup>();
  let count = 0;
  // A host that crashed counts from 1 again; main still knows names of the one before (I11).
  const incarnation = context.random.below(2 ** 31).toString(36);

  const begin = ({ group, connection }: LinkSession): void => {
    const config = groups.get(group);
    if (config === undefined) {
      // Its s###.cfg went away between handshake and here.
      const { message } = new TdmfError('TDMF_RMD_NO_GROUP', { group });
      connection.close({ code: 'TDMF_RMD_NO_GROUP', message });
      return;
    }
    const session = `${context.id}/${incarnation}.${++count}`;
    let ended: Promise<void> | undefined;
    const end = (): Promise<void> => {
      // Later: what fails while the RMD is only being started finds its promise here.
      ended ??= Promise.resolve()
        .then(() => rmd)
        .then((actor) => actor.stop())
        .catch((error: unknown) => {
          context.log.write('error', 'a session did not end cleanly', { session, group, error });
        })
        .finally(() => sessions.delete(session));
      return ended;
    };
    const own = sessionContext(context, `r${group}/rmd`, () => void end());
    const rmd = startRmd(own, { ...config, ...options, session, connection });
    sessions.set(session, { group, config, peer: connection.peerAddress, rmd, end });
  };

  context.ports.links.onSession(context.guard(begin));
  return {
    receive(message) {
      context.ports.links.serve(message.fd);
    },
    async ask(question) {
      const asked = question as LinkHostQuestion;
      switch (asked.kind) {
        case 'link.groups':
          groups = new Map(asked.groups.map((one) => [one.group, one]));
          context.ports.links.setKeys(asked.groups);
          // What a session was admitted by is no longer so: it ends, and may come again (H33).
          for (const { group, config, end } of sessions.values()) {
            if (JSON.stringify(groups.get(group)) !== JSON.stringify(config)) void end();
          }
          return undefined;
        case 'link.end':
          return sessions.get(asked.session)?.end();
        case 'link.ask': {
          const rmd = await sessions.get(asked.session)?.rmd;
          return rmd === undefined ? undefined : { answer: await rmd.ask?.(asked.question) };
        }
        case 'link.status':
          return Promise.all(
            [...sessions].map(async ([session, { group, peer, rmd }]) => {
              const actor = await rmd.catch(() => undefined);
              return { session, group, peer, rmd: await actor?.ask?.({ kind: 'rmd.status' }) };
            }),
          );
      }
    },
    async stop() {
      await Promise.all([...sessions.values()].map(({ end }) => end()));
    },
  };
}

/** A session's own wall: what fails in it ends it, and neither its neighbours nor this actor (I11). */
function sessionContext(context: ActorContext, id: string, failed: () => void): ActorContext {
  const fail = (error: unknown): void => {
    // What the RMD could only call "failed" has a cause that nobody expected.
    const cause = isTdmfError(error) ? error.cause : error;
    if (cause !== undefined && !isTdmfError(cause)) {
      context.log.write('error', 'a session failed', { id, error: cause });
    }
    failed();
  };
  const guard: ActorContext['guard'] =
    (run) =>
    (...args) => {
      try {
        run(...args);
      } catch (error) {
        fail(error);
      }
    };
  return {
    ...context,
    id,
    // A getter of the context, which a spread would read too early.
    ports: context.ports,
    clock: guardClock(context.clock, guard),
    log: context.log.with({ actor: id }),
    fail,
    guard,
  };
}
