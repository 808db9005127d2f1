/** What the types of the client allow. Compiled, but not run: tsc -p test. */
import { InpaintClient, type Picture } from 'ddpm-inpaint-client';

export async function compiles(picture: Picture): Promise<void> {
  const client = new InpaintClient();
  await client.job(picture, { mask: picture, webhook: 'https://example.org/', preview_every: 2 });
  await client.job(undefined, { task: 'sample', num_images: 2 });
  // @ts-expect-error: only jobs have webhooks
  await client.fill(picture, { webhook: 'https://example.org/' });
  // @ts-expect-error: a fill needs a picture
  await client.fill(undefined);
  for await (const { event, data } of client.stream(picture, { preview_noisy: true })) {
    if (event !== 'progress') continue;
    const { step, of, eta_ms, timestep, abar, preview, noisy, box } = data;
    const numbers: number[] = [step, of, eta_ms, timestep, abar, box?.left ?? 0];
    const pictures: (string | undefined)[] = [preview, noisy];
    console.log(numbers, pictures);
  }
}
