/**
 * `p###.cfg` and `s###.cfg`: one logical group, the same file on both sides (manual: "copied to the
 * secondary unchanged"). The primary reads `data`, the secondary `mirror`, each from its own copy.
 */
import { z } from 'zod';
import { devicesPerGroupMax, groupsMax } from '../core/constants.js';
import { parseTunables, type TunableValues } from '../core/tunables.js';
import { parseConfig } from './parse.js';

const deviceName = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{1,31}$/, 'a device name is 1 to 31 letters, digits, _ . -');

export const groupConfigSchema = z.strictObject({
  group: z
    .number()
    .int()
    .min(0)
    .max(groupsMax - 1),
  note: z.string().max(200).default(''),
  primary: z.strictObject({ host: z.string().min(1), pstore: z.string().optional() }),
  secondary: z.strictObject({
    host: z.string().min(1),
    port: z.number().int().min(1).max(65535).default(575),
    journal: z.string().min(1),
    chaining: z.boolean().default(false),
  }),
  /** 256-bit pre-shared key of the group's link, base64. */
  secret: z
    .string()
    .refine(
      (value) => Buffer.from(value, 'base64').length === 32,
      'the secret is 32 bytes in base64',
    ),
  devices: z
    .array(
      z.strictObject({
        name: deviceName,
        data: z.string().min(1),
        mirror: z.string().min(1),
        cache: z.enum(['direct', 'writeback']).optional(),
      }),
    )
    .min(1, 'a group has at least one device')
    .max(devicesPerGroupMax)
    .superRefine((devices, context) => {
      for (const key of ['name', 'data', 'mirror'] as const) {
        const seen = new Set<string>();
        for (const [index, device] of devices.entries()) {
          if (seen.has(device[key])) {
            context.addIssue({
              code: 'custom',
              path: [index, key],
              message: `${device[key]} is named twice`,
            });
          }
          seen.add(device[key]);
        }
      }
    }),
  /** Initial values; afterwards the pstore is the truth. */
  tunables: z
    .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
    .default({})
    .superRefine((given, context) => {
      for (const [name, value] of Object.entries(given)) {
        const parsed = parseTunables({ [name]: value });
        if (!('problem' in parsed)) continue;
        context.addIssue({ code: 'custom', path: [name], message: parsed.problem });
      }
    })
    .transform((given): TunableValues => {
      const parsed = parseTunables(given);
      return 'value' in parsed ? parsed.value : {};
    }),
});

export type GroupConfig = z.infer<typeof groupConfigSchema>;

/** @throws TDMF_CONFIG_INVALID */
export function parseGroupConfig(text: string, file: string): GroupConfig {
  return parseConfig(groupConfigSchema, text, file);
}

/** Primary and secondary are the same host (manual: loopback configuration). */
export function isLoopback(config: GroupConfig): boolean {
  return config.primary.host === config.secondary.host;
}
