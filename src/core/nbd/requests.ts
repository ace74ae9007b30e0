/**
 * Requests of the transmission phase (specification, "Request message" and "Request types"):
 * decoding a 28-byte header in place, and the judgement whether it may be executed. First step of
 * every I/O, so nothing is allocated and 64-bit numbers stay two words or a double.
 *
 * A bad request gets the protocol's error and the connection lives (design.md 2.2); only a wrong
 * magic number, or a payload too large to skip, ends the connection. Offsets beyond 2^53 lose low
 * bits as doubles, which is harmless: they are beyond the end of every export and refused.
 */
import { command, commandFlag, nbdError, requestMagic } from './constants.js';

export class RequestHeader {
  flags = 0;
  command = 0;
  /** The client's cookie is opaque: two words, given back unchanged. */
  cookieHigh = 0;
  cookieLow = 0;
  offset = 0;
  length = 0;
}

/** What was negotiated and what the export can do: the law for its requests. */
export interface TransmissionRules {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly canTrim: boolean;
  readonly blockMin: number;
  readonly blockMax: number;
  readonly structuredReplies: boolean;
  /** `base:allocation` was selected. */
  readonly allocationContext: boolean;
}

/** Reads the header at `at` into `header`; false when the magic number is wrong. */
export function decodeRequest(view: DataView, at: number, header: RequestHeader): boolean {
  if (view.getUint32(at) !== requestMagic) return false;
  header.flags = view.getUint16(at + 4);
  header.command = view.getUint16(at + 6);
  header.cookieHigh = view.getUint32(at + 8);
  header.cookieLow = view.getUint32(at + 12);
  header.offset = view.getUint32(at + 16) * 2 ** 32 + view.getUint32(at + 20);
  header.length = view.getUint32(at + 24);
  return true;
}

/** How many bytes of payload follow the header, whether the request is good or bad. */
export function payloadBytes(header: RequestHeader): number {
  return header.command === command.write ? header.length : 0;
}

/** Zero when the request may be executed, else the NBD error value of its reply. */
export function judgeRequest(header: RequestHeader, rules: TransmissionRules): number {
  const flags = allowedFlags(header.command, rules);
  if (flags < 0 || (header.flags & ~flags) !== 0) return nbdError.inval;
  switch (header.command) {
    case command.read:
      if (header.length > rules.blockMax) {
        // EOVERFLOW is documented for reads that could be fragmented only.
        return rules.structuredReplies ? nbdError.overflow : nbdError.inval;
      }
      return judgeRange(header, rules, nbdError.inval);
    case command.write:
      if (rules.readOnly) return nbdError.perm;
      if (header.length > rules.blockMax) return nbdError.inval;
      return judgeRange(header, rules, nbdError.nospc);
    case command.writeZeroes:
      if (rules.readOnly) return nbdError.perm;
      return judgeRange(header, rules, nbdError.nospc);
    case command.trim:
      if (rules.readOnly) return nbdError.perm;
      if (!rules.canTrim) return nbdError.inval;
      return judgeRange(header, rules, nbdError.inval);
    case command.blockStatus:
      // A reply must hold an extent of at least one byte, so a length of zero has no good answer.
      if (!rules.allocationContext || header.length === 0) return nbdError.inval;
      return judgeRange(header, rules, nbdError.inval);
    case command.flush:
      return header.offset === 0 && header.length === 0 ? nbdError.none : nbdError.inval;
    default:
      return nbdError.none;
  }
}

/** FUA is valid everywhere ("existing clients are known to set this bit on other commands"). */
function allowedFlags(code: number, rules: TransmissionRules): number {
  switch (code) {
    case command.read:
      return commandFlag.fua | (rules.structuredReplies ? commandFlag.df : 0);
    case command.writeZeroes:
      return commandFlag.fua | commandFlag.noHole;
    case command.blockStatus:
      return commandFlag.fua | commandFlag.reqOne;
    case command.write:
    case command.trim:
    case command.flush:
      return commandFlag.fua;
    case command.disconnect:
      // It has no reply, so there is nobody to tell about a strange flag.
      return 0xffff;
    default:
      return -1;
  }
}

function judgeRange(header: RequestHeader, rules: TransmissionRules, beyondEnd: number): number {
  if (header.offset + header.length > rules.sizeBytes) return beyondEnd;
  if (header.offset % rules.blockMin !== 0 || header.length % rules.blockMin !== 0) {
    return nbdError.inval;
  }
  return nbdError.none;
}
