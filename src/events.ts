/**
 * TdmfEvents: every public event and its payload. The library's `on`, `tdmfctl events` and the
 * console stream exactly these: one model, three faces. Payloads are plain data.
 */
import type { GroupEvents } from './actors/group-events.js';

export type { EventStamp, GroupEvents, ModeWord } from './actors/group-events.js';

export interface TdmfEvents extends GroupEvents {}

export type TdmfEventName = keyof TdmfEvents;
