import type { FastifyReply } from 'fastify';
import type { Config } from '../../../config/settings.ts';
import { generationLimits } from '../../../generation/prepare.ts';
import { adjustNeeds, assertHoldable } from '../../../image/needs.ts';
import { adjustMask, decodeMask, encodePicture, inspect } from '../../../image/threads.ts';
import { heldFiles } from '../../held-files.ts';
import type { AdjustMaskBody } from './schemas.ts';

/** The colour of the brush on IOPaint's page: #ffcc00bb. */
const BRUSH = [0xff, 0xcc, 0x00, 0xbb];

/** The mask with its hole grown, shrunk or reversed, as a PNG that the page shows over the picture. */
export async function adjustedMask(
  config: Config,
  reply: FastifyReply,
  { mask, operate, kernel_size }: AdjustMaskBody,
): Promise<Uint8Array> {
  const file = await inspect(mask, 'mask', generationLimits(config));
  const { width, height } = file.header;
  const bytes = adjustNeeds(file.header);
  assertHoldable(bytes, 'mask', `a mask of ${width} x ${height} pixels`);
  const [png] = await heldFiles(reply, bytes, async (room) => {
    const hole = await decodeMask(file, room, 'colour');
    const adjusted = await adjustMask(hole, operate, kernel_size, BRUSH);
    return [await encodePicture(adjusted, { format: 'png' })];
  });
  return png;
}
