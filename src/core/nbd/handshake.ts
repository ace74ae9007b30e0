/**
 * The server's brain during the NBD handshake (specification, "Handshake": fixed newstyle): bytes
 * of the client in, bytes for the client out, and in the end one decision. It stands in front of
 * the data path: the door runs it, then hands the socket over.
 *
 *   greeting ─► client flags ─► option, option, … ─► transmission (GO, EXPORT_NAME)
 *                                                └► closed (ABORT, malformed, too much)
 *
 * Synchronous and without time: any chunking of the same bytes gives the same result, no input
 * makes it throw, and what it holds is bounded (I12). Malformed input closes this connection only
 * (design.md 2.2). It does no TLS: NBD_OPT_STARTTLS is answered ERR_UNSUP.
 */
import { ByteQueue } from './byte-queue.js';
import {
  allocationContextId,
  allocationContextName,
  handshakeFlags,
  infoType,
  option,
  optionCountMax,
  optionDataBytesMax,
  optionMagic,
  optionOutputBytesMax,
  optionReply,
  optionSkipBytesMax,
} from './constants.js';
import { type ExportCatalogue, type ExportInfo, transmissionFlagsOf } from './exports.js';
import { decodeContextRequest, decodeInfoRequest, decodeName } from './option-data.js';
import {
  encodeExportNameReply,
  encodeGreeting,
  encodeInfoBlockSize,
  encodeInfoExport,
  encodeInfoText,
  encodeMetaContext,
  encodeOptionReply,
  encodeServer,
  encodeText,
} from './option-replies.js';

export type HandshakeDecision =
  | {
      readonly kind: 'transmission';
      /** The catalogue's name of it, which may differ from what the client asked for. */
      readonly exportName: string;
      readonly structuredReplies: boolean;
      /** Names of the selected metadata contexts: `base:allocation` or nothing. */
      readonly metaContexts: readonly string[];
    }
  | { readonly kind: 'closed'; readonly why: string };

export class Handshake {
  readonly #exports: ExportCatalogue;
  readonly #input = new ByteQueue();
  #output: Uint8Array[] = [];
  #outputBytes = 0;
  #decision: HandshakeDecision | undefined;
  #clientFlags: number | undefined;
  #optionCount = 0;
  #skipBytes = 0;
  #structuredReplies = false;
  /** What the last NBD_OPT_SET_META_CONTEXT selected; it counts only for the same export. */
  #contextExport: string | undefined;

  constructor(exports: ExportCatalogue) {
    this.#exports = exports;
    this.#send(encodeGreeting());
  }

  /** Set once; nothing is taken from the input behind it. */
  get decision(): HandshakeDecision | undefined {
    return this.#decision;
  }

  /** Takes bytes of the client and goes as far as they reach. */
  receive(bytes: Uint8Array): boolean {
    this.#input.append(bytes);
    return this.advance();
  }

  /**
   * Goes on with what was received. True when it stopped because much is to be sent: one who asks
   * for long lists without reading them is not answered until the output is taken (I12).
   */
  advance(): boolean {
    while (this.#decision === undefined && this.#outputBytes < optionOutputBytesMax) {
      if (!this.#step()) return false;
    }
    return this.#decision === undefined;
  }

  /** What is to be sent now, in order; in the beginning the greeting. */
  takeOutput(): Uint8Array[] {
    const output = this.#output;
    this.#output = [];
    this.#outputBytes = 0;
    return output;
  }

  /** After `transmission`: the bytes that came behind the handshake. */
  takeLeftover(): Uint8Array {
    return this.#input.take(this.#input.length);
  }

  /** One step; false when more bytes are needed. */
  #step(): boolean {
    if (this.#clientFlags === undefined) return this.#receiveFlags();
    if (this.#skipBytes > 0) {
      this.#skipBytes -= this.#input.take(Math.min(this.#skipBytes, this.#input.length)).length;
      return this.#skipBytes === 0;
    }
    return this.#receiveOption();
  }

  #receiveFlags(): boolean {
    if (this.#input.length < 4) return false;
    const flags = this.#input.peekUint32(0);
    this.#input.take(4);
    this.#clientFlags = flags;
    const known = handshakeFlags.fixedNewstyle | handshakeFlags.noZeroes;
    if ((flags & ~known) !== 0) this.#close('the client sets unknown handshake flags');
    return true;
  }

  #receiveOption(): boolean {
    const input = this.#input;
    if (input.length >= 4 && input.peekUint32(0) !== optionMagic[0]) {
      return this.#close('an option without its magic number');
    }
    if (input.length < 16) return false;
    if (input.peekUint32(4) !== optionMagic[1]) {
      return this.#close('an option without its magic number');
    }
    const code = input.peekUint32(8);
    const length = input.peekUint32(12);
    if (code !== option.exportName && (this.#clientFlags! & handshakeFlags.fixedNewstyle) === 0) {
      return this.#close('a client without fixed newstyle may only name an export');
    }
    if (length > optionDataBytesMax) return this.#refuseLong(code, length);
    if (input.length < 16 + length) return false;
    if (++this.#optionCount > optionCountMax) return this.#close('too many options');
    input.take(16);
    this.#answer(code, input.take(length));
    return true;
  }

  #refuseLong(code: number, length: number): boolean {
    // NBD_OPT_EXPORT_NAME has no error reply.
    if (code === option.exportName || length > optionSkipBytesMax) {
      return this.#close('the data of an option is too long');
    }
    if (++this.#optionCount > optionCountMax) return this.#close('too many options');
    this.#input.take(16);
    this.#skipBytes = length;
    if (code === option.setMetaContext) this.#contextExport = undefined;
    const text = `option data above ${optionDataBytesMax} bytes`;
    this.#reply(code, optionReply.errTooBig, encodeText(text));
    return true;
  }

  #answer(code: number, data: Uint8Array): void {
    // The one option whose reply has another form, and which cannot be refused but by closing.
    if (code === option.exportName) {
      this.#exportName(data);
    } else {
      const { type, text } = this.#finalReply(code, data);
      this.#reply(code, type, text === undefined ? undefined : encodeText(text));
    }
  }

  /** Sends the replies before the last one, and says what the last one is. */
  #finalReply(code: number, data: Uint8Array): FinalReply {
    switch (code) {
      case option.abort:
        // Data is ignored, as the specification asks for this option alone.
        this.#close('the client aborted');
        return accepted;
      case option.list:
        return this.#list(data);
      case option.info:
      case option.go:
        return this.#info(code, data);
      case option.structuredReply:
        if (data.length > 0) return unwantedData;
        this.#structuredReplies = true;
        return accepted;
      case option.listMetaContext:
      case option.setMetaContext:
        return this.#contexts(code, data);
      case option.starttls:
        return { type: optionReply.errUnsup, text: 'this server has no TLS on its sockets' };
      default:
        return { type: optionReply.errUnsup, text: 'unknown option' };
    }
  }

  #exportName(data: Uint8Array): void {
    const name = decodeName(data);
    const info = name === undefined ? undefined : this.#exports.find(name);
    if (info === undefined || info.unavailable !== undefined) {
      this.#close('there is no such export');
      return;
    }
    const noZeroes = (this.#clientFlags! & handshakeFlags.noZeroes) !== 0;
    const flags = transmissionFlagsOf(info, this.#structuredReplies);
    this.#send(encodeExportNameReply(info.sizeBytes, flags, noZeroes));
    this.#transmit(name!, info);
  }

  #list(data: Uint8Array): FinalReply {
    if (data.length > 0) return unwantedData;
    for (const info of this.#exports.list()) {
      if (info.unavailable !== undefined) continue;
      this.#reply(option.list, optionReply.server, encodeServer(info));
    }
    return accepted;
  }

  #info(code: number, data: Uint8Array): FinalReply {
    const request = decodeInfoRequest(data);
    if (request === undefined) return malformed;
    const info = this.#exports.find(request.exportName);
    if (info === undefined || info.unavailable !== undefined) return unknownExport(info);
    const flags = transmissionFlagsOf(info, this.#structuredReplies);
    this.#reply(code, optionReply.info, encodeInfoExport(info.sizeBytes, flags));
    if (request.infoTypes.includes(infoType.name)) {
      this.#reply(code, optionReply.info, encodeInfoText(infoType.name, info.name));
    }
    if (request.infoTypes.includes(infoType.description) && info.description !== '') {
      const text = encodeInfoText(infoType.description, info.description);
      this.#reply(code, optionReply.info, text);
    }
    if (request.infoTypes.includes(infoType.blockSize)) {
      this.#reply(code, optionReply.info, encodeInfoBlockSize(info));
    }
    if (code === option.go) this.#transmit(request.exportName, info);
    return accepted;
  }

  #contexts(code: number, data: Uint8Array): FinalReply {
    const select = code === option.setMetaContext;
    // It replaces what was selected before, even when it fails.
    if (select) this.#contextExport = undefined;
    const request = decodeContextRequest(data);
    if (request === undefined) return malformed;
    if (!this.#structuredReplies) {
      return { type: optionReply.errInvalid, text: 'ask for structured replies first' };
    }
    const info = this.#exports.find(request.exportName);
    if (info === undefined || info.unavailable !== undefined) return unknownExport(info);
    const { queries } = request;
    const matches =
      queries.includes(allocationContextName) ||
      (!select && (queries.length === 0 || queries.includes('base:')));
    if (matches) {
      const id = select ? allocationContextId : 0;
      this.#reply(code, optionReply.metaContext, encodeMetaContext(id, allocationContextName));
      if (select) this.#contextExport = request.exportName;
    }
    return accepted;
  }

  #transmit(askedName: string, info: ExportInfo): void {
    this.#decision = {
      kind: 'transmission',
      exportName: info.name,
      structuredReplies: this.#structuredReplies,
      metaContexts: this.#contextExport === askedName ? [allocationContextName] : [],
    };
  }

  #reply(code: number, type: number, data?: Uint8Array): void {
    this.#send(encodeOptionReply(code, type, data));
  }

  #send(bytes: Uint8Array): void {
    this.#output.push(bytes);
    this.#outputBytes += bytes.length;
  }

  #close(why: string): false {
    this.#decision = { kind: 'closed', why };
    return false;
  }
}

/** The reply that ends an option: an acknowledgement, or an error with a text for the user. */
interface FinalReply {
  readonly type: number;
  readonly text?: string;
}

const accepted: FinalReply = { type: optionReply.ack };
const malformed: FinalReply = { type: optionReply.errInvalid, text: 'malformed option data' };
const unwantedData: FinalReply = { type: optionReply.errInvalid, text: 'this option has no data' };

function unknownExport(info: ExportInfo | undefined): FinalReply {
  const text = info?.unavailable ?? 'there is no such export';
  return { type: optionReply.errUnknown, text };
}
