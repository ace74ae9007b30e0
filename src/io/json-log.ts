/** The log port for real: one JSON object a line (pino), synchronously, so that nothing is lost. */
import { pino } from 'pino';
import type { Log, LogLevel } from '../ports/log.js';

export function jsonLog(stream: NodeJS.WritableStream & { fd?: number }): Log {
  const logger = pino(
    {
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    pino.destination({ dest: stream.fd ?? 2, sync: true }),
  );
  return wrap(logger);
}

interface PinoLike {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): PinoLike;
}

function wrap(logger: PinoLike): Log {
  return {
    write(level: LogLevel, message, fields = {}) {
      logger[level](fields, message);
    },
    with: (fields) => wrap(logger.child(fields)),
  };
}
