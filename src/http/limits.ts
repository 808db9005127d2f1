import type { Config } from '../config/settings.ts';
import type { Limits } from '../image/decode.ts';

/** What the settings say about pictures. */
export const pictureLimits = (config: Config): Required<Limits> => ({
  maxPixels: config.MAX_PIXELS,
  maxSide: config.MAX_SIDE,
  timeoutMs: config.DECODE_TIMEOUT_MS,
});
