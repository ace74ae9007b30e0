/**
 * The control API: HTTP over `run/control.sock` (mode 0600, in the home's 0700). tdmfctl and the
 * console are its clients; `curl --unix-socket` works too. Every answer is JSON; an error is
 * `{error: PlainError}` with a status that tells usage (400), refusal (409) and failure (500) apart.
 */

import { chmod, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { z } from 'zod';
import { parseGroupList } from '../config/group-list.js';
import {
  errorTable,
  isTdmfError,
  type PlainError,
  TdmfError,
  toPlainError,
} from '../core/errors.js';
import type { GroupOutcome, Tdmf, WaitCondition } from '../tdmf.js';

const groupsBody = z.union([z.literal('all'), z.array(z.number().int().min(0))]);
const verbBody = z.object({
  groups: groupsBody,
  args: z.record(z.string(), z.unknown()).default({}),
});
const waitBody = z.object({
  groups: groupsBody,
  condition: z.enum(['normal', 'connected', 'drained', 'coherent']),
  timeoutSeconds: z.number().min(0).optional(),
});

/** A sequence number of an event, as the query string has it. */
const sinceQuery = z
  .string()
  .regex(/^\d{1,15}$/, 'since is the sequence number of an event')
  .transform(Number)
  .optional();

/** Largest request body; control requests are small. */
const bodyBytesMax = 1024 * 1024;

export interface ControlApiOptions {
  /** Offers fault injection; only ever set by tests (TDMF_TESTING=1). */
  readonly testing?: boolean;
}

export function controlApi(tdmf: Tdmf, options: ControlApiOptions = {}): Hono {
  const api = new Hono();

  api.onError((error, context) => {
    const kind = isTdmfError(error) ? errorTable[error.code].kind : 'operating';
    const status = kind === 'usage' ? 400 : kind === 'refusal' ? 409 : 500;
    return context.json({ error: withoutStacks(toPlainError(error)) }, status);
  });
  api.notFound((context) =>
    context.json(
      {
        error: toPlainError(
          new TdmfError('TDMF_USAGE', { problem: `there is no ${context.req.path}` }),
        ),
      },
      404,
    ),
  );
  api.use(async (context, next) => {
    if (Number(context.req.header('content-length') ?? 0) > bodyBytesMax) {
      throw new TdmfError('TDMF_USAGE', { problem: 'the request is too large' });
    }
    await next();
  });

  api.get('/v1/version', (context) => context.json(tdmf.version()));

  api.get('/v1/info', async (context) => {
    const list = context.req.query('groups');
    return context.json(await tdmf.status(list === undefined ? 'all' : parseGroupList([list])));
  });

  api.post('/v1/verbs/:verb', async (context) => {
    const { groups, args } = checked(verbBody, await context.req.json());
    const results = await tdmf.each(context.req.param('verb'), groups, args);
    return context.json({ results: results.map(answer) });
  });

  api.post('/v1/wait', async (context) => {
    const { groups, condition, timeoutSeconds } = checked(waitBody, await context.req.json());
    const signals = [context.req.raw.signal];
    if (timeoutSeconds !== undefined) signals.push(AbortSignal.timeout(timeoutSeconds * 1000));
    const options = {
      signal: AbortSignal.any(signals),
      ...(timeoutSeconds !== undefined && { timeoutSeconds }),
    };
    const results = await tdmf.waitEach(groups, condition satisfies WaitCondition, options);
    return context.json({ results: results.map(answer) });
  });

  api.get('/v1/events', (context) => {
    const since = checked(sinceQuery, context.req.query('since'));
    const list = context.req.query('groups');
    const groups = list === undefined ? undefined : parseGroupList([list]);
    const follow = context.req.query('follow') !== undefined;
    context.header('content-type', 'application/x-ndjson');
    return stream(context, async (output) => {
      const events = tdmf.events(since, follow, context.req.raw.signal);
      output.onAbort(() => void events.return(undefined));
      for await (const event of events) {
        if (groups && event.group !== undefined && !groups.includes(event.group)) continue;
        await output.write(`${JSON.stringify(event)}\n`);
      }
    });
  });
  if (options.testing) {
    api.post('/v1/testing/crash-host/:host', (context) => {
      tdmf.crashHost(Number(context.req.param('host')));
      return context.json({});
    });
  }
  return api;
}

/** Stacks are for the log; a client gets code, message, details and causes. */
function withoutStacks({ name, message, code, details, cause }: PlainError): PlainError {
  return {
    name,
    message,
    ...(code !== undefined && { code }),
    ...(details !== undefined && { details }),
    ...(cause !== undefined && { cause: withoutStacks(cause) }),
  };
}

function answer(outcome: GroupOutcome): GroupOutcome {
  return outcome.ok ? outcome : { ...outcome, error: withoutStacks(outcome.error) };
}

/** Listens on the socket; the caller has made sure (by the home's lock) that no one else does. */
export async function serveControlApi(api: Hono, socketPath: string): Promise<Server> {
  // What a killed tdmfd left behind.
  await rm(socketPath, { force: true });
  const server = createAdaptorServer({ fetch: api.fetch }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });
  await chmod(socketPath, 0o600);
  return server;
}

function checked<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const where = issue?.path.length ? `${issue.path.join('.')}: ` : '';
  throw new TdmfError('TDMF_USAGE', { problem: `${where}${issue?.message}` });
}
