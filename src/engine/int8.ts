import { readFileSync } from 'node:fs';

/** Number format of a CPU's evaluations. auto: int8 where it is fast, for networks whose fills it does not change noticeably. */
export type PrecisionChoice = 'auto' | 'fp32' | 'int8';

/** Instructions that sum products of 8 bits into 32 bits: VNNI of Intel and AMD, and Arm's dot product. */
const FAST = /\b(avx512_vnni|avx_vnni|asimddp)\b/;

/** Whether this machine's CPU has them, by Linux's /proc/cpuinfo; false where that cannot be read. */
export function hasFastInt8(read = () => readFileSync('/proc/cpuinfo', 'utf8')): boolean {
  try {
    return FAST.test(read());
  } catch {
    return false;
  }
}
