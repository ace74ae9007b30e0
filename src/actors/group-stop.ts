/**
 * The clean stop of a group (H31, Rule 31): the driver has ended, what is in the BAB is drained up to a
 * limit, and the clean flag is the last thing written. It is refused when anything may have been
 * missed: a driver that still lives, or a write in flight that nobody ended.
 */
import { InFlightSlots } from '../core/bab/slots.js';
import { writesInFlightMax } from '../core/constants.js';
import { isTdmfError } from '../core/errors.js';
import type { GroupRecord } from '../core/pstore/record.js';
import { saveDirt } from './group-dirt.js';
import type { GroupHands } from './group-hands.js';
import type { GroupMachine } from './group-machine.js';
import type { GroupOptions, GroupQuestion, StopOutcome } from './group-options.js';
import { waitFor } from './group-waits.js';

type Asked = Extract<GroupQuestion, { kind: 'prepareStop' }>;

export async function prepareStop(
  hands: GroupHands,
  machine: GroupMachine,
  driverActor: string,
  options: GroupOptions,
  { drainMs, devices }: Asked,
): Promise<StopOutcome> {
  const { context, control, keeper, commands } = hands;
  const isDrained = () => control.pending === 0;
  // The driver's last word may be in the control block only: its mailbox to us was full, or the
  // last flush of its stop failed (T2, H21).
  if (control.latched && keeper.record.mode === 'normal') {
    machine.send({ type: 'driver.overflowed', sequence: control.stamped });
  }
  let drained = isDrained();
  // Of the record, not of the machine: a commit that is being recorded is NORMAL for a start.
  if (keeper.record.mode === 'normal') {
    if (!drained && machine.situation.link !== 'stopped') {
      commands.flush();
      drained = await waitFor(context.clock, drainMs, isDrained);
    }
    if (!drained) machine.send({ type: 'drain.expired' });
  }
  // Before anything is waited for: no refresh begins by itself any more.
  machine.stop();
  const clean = (await driverEnded(hands, driverActor)) && nothingInFlight(hands);
  // Rule 31: what the BAB still holds becomes marks, and the map a file that the next start believes.
  const saves = clean && mapSays(keeper.record);
  const savedMap = saves ? await saveDirt(context, options) : undefined;
  keeper.change((record) => ({ ...record, clean, savedMap, devices }));
  keeper.persist();
  await keeper.settled();
  keeper.close();
  return { mode: keeper.durable.mode, drained, clean };
}

/** Whether there is something in the map that the record does not say. */
function mapSays({ mode, mapAll, map, unverified }: GroupRecord): boolean {
  if (mapAll) return false;
  if (mode === 'passthru') return map !== 'broken';
  // By override it may be NORMAL with dirt (Rule 11).
  return mode !== 'normal' || unverified;
}

/** A driver that lives may take another write, after which no record would be clean (H31). */
async function driverEnded({ context }: GroupHands, driverActor: string): Promise<boolean> {
  try {
    await context.address(driverActor).ask({ kind: 'driver.connections' });
    return false;
  } catch (error) {
    return isTdmfError(error) && error.code === 'TDMF_ACTOR_GONE';
  }
}

function nothingInFlight({ control }: GroupHands): boolean {
  return new InFlightSlots(control).freeCount === writesInFlightMax;
}
