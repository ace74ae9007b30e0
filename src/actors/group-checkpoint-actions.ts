/**
 * The machine's actions for the checkpoint: the hooks that main runs, the marker that the driver
 * stamps, what the PMD passes on to the secondary, and what the operator hears.
 */
import { type ErrorDetails, errorTable, isTdmfError, type TdmfErrorCode } from '../core/errors.js';
import type { CheckpointState } from '../core/pstore/record.js';
import type { GroupModeEvent } from '../machines/group-mode.js';
import type { HookName } from '../machines/group-mode-types.js';
import type { GroupHands } from './group-hands.js';
import type { WireDetails } from './messages.js';

export function checkpointActions(hands: GroupHands, send: (event: GroupModeEvent) => void) {
  const { context, keeper, commands, news } = hands;
  const failed = (on: boolean, code: string) => {
    // Whoever refused it has said more than the code: the hook, the client that is in the way.
    const told = isTdmfError(news.refusal) && news.refusal.code === code ? news.refusal : undefined;
    const message = told?.message ?? errorTable[code as TdmfErrorCode]?.message ?? code;
    news.refused = code;
    news.publish('checkpoint.failed', { on, code, message });
    commands.refuseCheckpoint(on, code, wireDetails(told?.details ?? {}));
  };
  return {
    runHook: (_: unknown, { hook }: { hook: HookName }) => {
      const ended = context.guard((code: string | undefined) => {
        if (code === undefined) send({ type: 'hook.ended' });
        else send({ type: 'hook.failed', code });
      });
      const question = { kind: 'hook.run', group: hands.group, hook, role: 'primary' };
      void context
        .address<never>(hands.hooks)
        .ask(question)
        .then(
          () => ended(undefined),
          (error: unknown) => {
            news.refusal = error;
            ended(isTdmfError(error) ? error.code : 'TDMF_HOOK_FAILED');
          },
        );
    },
    takeMarker: () => commands.takeMarker(),
    releaseCheckpoint: () => commands.checkpointOff(),
    recordCheckpoint: (_: unknown, { state }: { state: CheckpointState }) => {
      if (state !== 'pending') hands.marker = undefined;
      keeper.change((record) => ({ ...record, checkpoint: state }));
    },
    publishCheckpoint: (_: unknown, { on }: { on: boolean }) =>
      news.publish('checkpoint.changed', { on }),
    publishCheckpointFailed: (_: unknown, { on, code }: { on: boolean; code: string }) =>
      failed(on, code),
    publishHookFailed: (_: unknown, { code }: { code: string }) => {
      const told = isTdmfError(news.refusal) ? news.refusal.message : undefined;
      const message = told ?? errorTable[code as TdmfErrorCode]?.message ?? code;
      news.publish('checkpoint.failed', { on: true, code, message });
    },
  };
}

function wireDetails(details: ErrorDetails): WireDetails {
  const known = Object.entries(details).filter(
    (entry): entry is [string, string | number] =>
      typeof entry[1] === 'string' || typeof entry[1] === 'number',
  );
  return Object.fromEntries(known);
}
