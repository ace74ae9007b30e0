/** The event stream as a reader gets it: dump, `exists -`, changes; or what came after `since`. */
import type { GroupInfo } from '../info.js';
import type { EventLog, EventRecord } from './event-log.js';

/** A reader this far behind has its oldest events replaced by a `log.gap`. */
const unreadMax = 10_000;

export async function* followEvents(
  log: EventLog,
  groups: () => Promise<readonly GroupInfo[]>,
  since: number | undefined,
  follow: boolean,
  signal: AbortSignal | undefined,
): AsyncGenerator<EventRecord, void, undefined> {
  const unread: EventRecord[] = [];
  let lost = 0;
  let wake = (): void => undefined;
  // Following begins before the dump, so that nothing falls between the two.
  const unfollow = log.follow((event) => {
    if (unread.push(event) > unreadMax) {
      unread.shift();
      lost++;
    }
    wake();
  });
  signal?.addEventListener('abort', () => wake(), { once: true });
  try {
    if (since !== undefined) {
      const kept = log.after(since);
      unread.length = 0;
      yield* kept;
    } else {
      for (const group of await groups()) yield log.exists('group', summary(group));
      yield log.exists('-', {});
    }
    while (follow && !signal?.aborted) {
      if (lost > 0) {
        yield log.exists('log.gap', { lost });
        lost = 0;
      }
      const event = unread.shift();
      if (event !== undefined) yield event;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    unfollow();
  }
}

function summary(group: GroupInfo): Record<string, unknown> {
  return group.role === 'primary'
    ? {
        group: group.group,
        role: group.role,
        mode: group.mode,
        connection: group.connection,
        checkpoint: group.checkpoint ? 'on' : 'off',
        babBytes: group.bab.bytes,
        mirrorState: group.mirrorState,
      }
    : { group: group.group, role: group.role, rmd: group.rmd, connection: group.connection };
}
