/** The control API over a Tdmf that only remembers: codes, shapes, and that an odd request harms nothing. */

import { statSync } from 'node:fs';
import { request } from 'node:http';
import test from 'ava';
import { TdmfError, toPlainError } from '../../../src/core/errors.js';
import { controlApi, serveControlApi } from '../../../src/server/control-api.js';
import { EventLog } from '../../../src/server/event-log.js';
import { followEvents } from '../../../src/server/follow-events.js';
import type { GroupOutcome, Tdmf, WaitOptions } from '../../../src/tdmf.js';
import { infoOf, primaryOf } from '../../helpers/infos.js';
import { makeScratch } from '../../helpers/scratch.js';

class FakeTdmf {
  readonly calls: unknown[][] = [];
  readonly log = new EventLog(() => 0);
  ended = 0;

  version() {
    return { version: '0', node: '0', io: 'threads' };
  }
  status(groups: readonly number[] | 'all') {
    this.calls.push(['status', groups]);
    if (groups !== 'all' && groups.includes(9)) {
      return Promise.reject(new TdmfError('TDMF_GROUP_UNKNOWN', { group: 9 }));
    }
    return Promise.resolve(infoOf(primaryOf()));
  }
  each(verb: string, groups: unknown, args: unknown): Promise<GroupOutcome[]> {
    this.calls.push(['each', verb, groups, args]);
    const error = toPlainError(
      new TdmfError('TDMF_MODE_REFUSED', { group: 1 }, { cause: new Error('because') }),
    );
    return Promise.resolve([
      { group: 0, ok: true },
      { group: 1, ok: false, error },
    ]);
  }
  waitEach(groups: unknown, condition: string, options: WaitOptions): Promise<GroupOutcome[]> {
    this.calls.push(['waitEach', groups, condition, options.timeoutSeconds]);
    return new Promise((resolve) => {
      options.signal?.addEventListener('abort', () => {
        this.ended++;
        resolve([]);
      });
    });
  }
  async *events(since?: number, follow = false, signal?: AbortSignal) {
    this.calls.push(['events', since, follow]);
    try {
      yield* followEvents(this.log, () => Promise.resolve([primaryOf()]), since, follow, signal);
    } finally {
      this.ended++;
    }
  }
}

const setUp = () => {
  const fake = new FakeTdmf();
  return { fake, api: controlApi(fake as unknown as Tdmf) };
};
const post = (body: string) => ({ method: 'POST', body });

test('info of all and of some groups', async (t) => {
  const { fake, api } = setUp();
  const response = await api.request('/v1/info');
  t.is(response.status, 200);
  t.like(await response.json(), { schema: 'tdmf.info/1' });
  await api.request('/v1/info?groups=1,3-5');
  t.deepEqual(fake.calls, [
    ['status', 'all'],
    ['status', [1, 3, 4, 5]],
  ]);
});

const refused: readonly (readonly [string, string, object | undefined, number])[] = [
  ['an unknown group', '/v1/info?groups=9', undefined, 400],
  ['a bad list', '/v1/info?groups=a', undefined, 400],
  ['an unknown path', '/v1/nothing', undefined, 404],
  ['a bad since', '/v1/events?since=abc', undefined, 400],
  ['a negative since', '/v1/events?since=-1', undefined, 400],
  ['no JSON', '/v1/verbs/start', post('{'), 400],
  ['groups that are no list', '/v1/verbs/start', post('{"groups":3}'), 400],
  ['an unknown condition', '/v1/wait', post('{"groups":[0],"condition":"x"}'), 400],
  [
    'a negative timeout',
    '/v1/wait',
    post('{"groups":[0],"condition":"normal","timeoutSeconds":-1}'),
    400,
  ],
];
for (const [name, path, init, status] of refused) {
  test(`${name} is refused with ${status} and a code`, async (t) => {
    const response = await setUp().api.request(path, init);
    t.is(response.status, status);
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    t.regex(String(error['code']), /^TDMF_(?:USAGE|GROUP_UNKNOWN)$/);
    t.is(error['stack'], undefined, 'stacks are for the log');
  });
}

test('fault injection is not there unless asked for', async (t) => {
  const response = await setUp().api.request('/v1/testing/crash-host/0', { method: 'POST' });
  t.is(response.status, 404);
});

test('a verb: each group has its result, errors without stacks but with causes', async (t) => {
  const { fake, api } = setUp();
  const body = post('{"groups":[0,1],"args":{"kind":"full"}}');
  const response = await api.request('/v1/verbs/launchrefresh', body);
  t.is(response.status, 200);
  const text = await response.text();
  t.like((JSON.parse(text) as { results: unknown[] }).results[1], {
    group: 1,
    ok: false,
    error: { code: 'TDMF_MODE_REFUSED', cause: { message: 'because' } },
  });
  t.notRegex(text, /\bat .*\.js:/);
  t.deepEqual(fake.calls, [['each', 'launchrefresh', [0, 1], { kind: 'full' }]]);
});

test('events are lines of JSON, of the groups asked for', async (t) => {
  const { fake, api } = setUp();
  for (const group of [0, 1, 2]) fake.log.publish('e', { group });
  fake.log.publish('host', {});
  const text = await (await api.request('/v1/events?since=0&groups=1')).text();
  const lines = text.split('\n').filter(Boolean);
  t.deepEqual(
    lines.map((line) => (JSON.parse(line) as { seq: number }).seq),
    [2, 4],
    'events without a group belong to all',
  );
});

test('a client that goes away ends its stream and its wait; the socket is 0600', async (t) => {
  const scratch = await makeScratch();
  t.teardown(() => scratch.remove());
  const { fake, api } = setUp();
  const socketPath = scratch.path('s');
  const server = await serveControlApi(api, socketPath);
  t.teardown(() => server.close());
  t.is(statSync(socketPath).mode & 0o777, 0o600);

  const gone = async (path: string, method: string, body?: string): Promise<void> => {
    const before = fake.ended;
    const headers = { 'content-type': 'application/json' };
    const outgoing = request({ socketPath, path, method, headers });
    outgoing.on('error', () => undefined);
    if (method === 'GET') {
      outgoing.end();
      await new Promise<void>((resolve) => {
        outgoing.once('response', (response) => {
          response.on('error', () => undefined);
          response.once('data', () => resolve());
        });
      });
    } else {
      const calls = fake.calls.length;
      outgoing.end(body);
      await until(() => fake.calls.length > calls);
    }
    outgoing.destroy();
    await until(() => fake.ended > before);
  };
  await gone('/v1/events?follow=1', 'GET');
  await gone('/v1/wait', 'POST', '{"groups":[0],"condition":"normal"}');
  t.is(fake.ended, 2);
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
}
