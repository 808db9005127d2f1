/** Zod parsers for the values of environment variables: text in, typed value out. */
import { isIP } from 'node:net';
import { z } from 'zod';
import { parseSplit } from '../model/traffic-split.ts';

/** A whole number from `min` to `max`, both included. */
export function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d+$/, error)
    .transform(Number)
    .refine((n) => n >= min && n <= max, error);
}

/** `auto`, which becomes undefined, or a whole number from `min` to `max`. */
export const autoOr = (min: number, max: number) =>
  z.union([z.literal('auto').transform(() => undefined), wholeNumber(min, max)], {
    error: `must be auto or a whole number from ${min} to ${max}`,
  });

/** One of the given words; case matters. */
export const oneOf = <const T extends readonly string[]>(values: T) =>
  z.enum(values, { error: `must be one of ${values.join(', ')}` });

/** `true` or `false`. */
export const flag = oneOf(['true', 'false']).transform((value) => value === 'true');

/** A model reference or a weighted split, as parseSplit reads it. The text is kept as it is. */
export const split = z.string().superRefine((text, context) => {
  try {
    parseSplit(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as Error).message });
  }
});

/** A path that stands before the service's own, without a slash at its end. */
export const PATH_PREFIX = /^(\/[\w.~-]+)+$/;

/** The service's own paths. As BASE_PATH is removed from the paths of requests, none of them may begin with it. */
const OWN_PATH =
  /^\/(v1|v2|api\/v1|health|metrics|docs|openapi\.json|openapi\.yaml|playground|socket\.io)(\/|$)|^\/api$/;

/** BASE_PATH. */
export const basePath = z
  .string()
  .regex(PATH_PREFIX, 'must be a path such as /inpaint, without a slash at its end')
  .refine((path) => !OWN_PATH.test(path), { error: "must not begin with one of the service's own paths" });

/** A comma-separated list of other names of models, each as name=model. `*` stands for every other name. */
export const aliases = z.string().transform((list, context) => {
  const pairs = list.split(',').flatMap((pair) => pair.trim() || []);
  const known: Record<string, string> = {};
  for (const pair of pairs) {
    const [, name, model] = /^([^=@\s]+)=([^=\s]+)$/.exec(pair) ?? [];
    if (name === undefined || Object.hasOwn(known, name)) {
      const message = 'must be like gpt-image-1=id,other=id@version,*=id, with each name once and without @';
      context.addIssue({ code: 'custom', message });
    } else known[name] = model;
  }
  return known;
});

/** A comma-separated list of origins such as https://example.org. `others` are further words to accept. */
export const origins = (others: string[], error: string) =>
  z
    .string()
    .transform((list) => list.split(',').flatMap((origin) => origin.trim() || []))
    .refine((list) => list.every((origin) => others.includes(origin) || isOrigin(origin)), { error });

function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

/** A comma-separated list of IP addresses, networks in CIDR notation, and the names that proxy-addr knows. It refuses /0. */
export const proxies = z
  .string()
  .transform((list) => list.split(',').map((proxy) => proxy.trim()))
  .refine((list) => list.every(isNetwork), {
    error:
      'must be addresses or networks such as 10.0.0.0/8, but not /0, or loopback, linklocal, uniquelocal, ' +
      'separated by commas',
  });

function isNetwork(text: string): boolean {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [address, prefix = '1', ...rest] = text.split('/');
  const maxPrefix = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  return rest.length === 0 && /^\d+$/.test(prefix) && Number(prefix) >= 1 && Number(prefix) <= maxPrefix;
}
