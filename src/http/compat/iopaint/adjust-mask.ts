import type { FastifyReply } from 'fastify';
import type { Config } from '../../../config/settings.ts';
import { generationLimits } from '../../../generation/prepare.ts';
import { pictureBudget } from '../../../image/budget.ts';
import { adjustNeeds, assertHoldable } from '../../../image/needs.ts';
import { adjustMask, decodeMask, encodePicture, inspect } from '../../../image/threads.ts';
import { whenSent } from '../../disconnect.ts';
import type { AdjustMaskBody } from './schemas.ts';

/** The colour of the brush on IOPaint's page: #ffcc00bb. */
const BRUSH = [0xff, 0xcc, 0x00, 0xbb];

/** The mask with its hole grown, shrunk or reversed, as a PNG that the page shows over the picture. Its memory counts until the answer has been sent. */
export async function adjustedMask(
  config: Config,
  reply: FastifyReply,
  { mask, operate, kernel_size }: AdjustMaskBody,
): Promise<Uint8Array> {
  const file = await inspect(mask, 'mask', generationLimits(config));
  const { width, height } = file.header;
  const bytes = adjustNeeds(file.header);
  assertHoldable(bytes, 'mask', `a mask of ${width} x ${height} pixels`);
  const room = pictureBudget.reserve(bytes);
  try {
    const hole = await decodeMask(file, room, 'colour');
    const adjusted = await adjustMask(hole, operate, kernel_size, BRUSH);
    const png = await encodePicture(adjusted, { format: 'png' });
    room.resize(png.length);
    return png;
  } finally {
    whenSent(reply, () => room.release());
  }
}
