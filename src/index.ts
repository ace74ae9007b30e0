/** The front door of the library: re-exports only. */
export { type ErrorKind, isTdmfError, TdmfError, type TdmfErrorCode } from './core/errors.js';
export type {
  Connection,
  DeviceInfo,
  GroupInfo,
  Mode,
  PrimaryInfo,
  RefreshInfo,
  SecondaryInfo,
  TdmfInfo,
} from './info.js';
export type { EventRecord } from './server/event-log.js';
export {
  createTdmf,
  type GroupOutcome,
  Tdmf,
  type TdmfOptions,
  type WaitCondition,
  type WaitOptions,
} from './tdmf.js';
