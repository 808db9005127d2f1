import type { PredictionType } from '../../diffusion/prediction.ts';
import type { ModelInfo } from '../state/types.ts';
import { create } from '../view/dom.ts';

/** The lesson's text and controls. Everything that changes has an id. */
export function createLesson(curve: SVGElement): HTMLElement[] {
  return [intro(), forward(), schedule(curve), reverse()];
}

function intro(): HTMLElement {
  return create(
    'section',
    {},
    create('h2', { textContent: 'How a picture comes out of noise' }),
    paragraph(
      'A diffusion model learns to undo noise. First you take pictures and add noise to them, a little more at each of ' +
        'many timesteps t: the forward process. Then you train a network on one task: given a noisy picture and t, say ' +
        'which part of it is noise. To draw, you begin with pure noise and let the network take it away, step by step: the reverse process.',
    ),
    create('p', { id: 'lesson-waiting', className: 'hint' }),
  );
}

function forward(): HTMLElement {
  const label = create('label', {}, 'Timestep ');
  const slider = create('input', { type: 'range', id: 't', min: '0', max: '999', step: '1' });
  label.append(slider);
  return create(
    'section',
    {},
    create('h2', { textContent: '1. Forward: from a picture to noise' }),
    paragraph(
      'There is no need to add noise many times. One equation leads to any t directly: the picture, made fainter, plus noise.',
    ),
    create(
      'div',
      { className: 'pictures' },
      figure('x0', 'x₀, the picture'),
      figure('xt', 'x_t, the noisy picture', 'large'),
      figure('epsilon', 'ε, the noise'),
    ),
    create(
      'p',
      { className: 'equation' },
      'x_t = √ᾱ · x₀ + √(1 − ᾱ) · ε = ',
      create('strong', { id: 'signal-value' }),
      ' · x₀ + ',
      create('strong', { id: 'noise-value' }),
      ' · ε',
    ),
    create(
      'div',
      { className: 'row' },
      label,
      create('span', { id: 't-value', className: 'value' }),
      button('play', 'Play'),
      button('new-noise', 'New noise'),
    ),
    create('p', { id: 'abar-value', className: 'hint' }),
    paragraph(
      'The squares of the two weights add up to 1. So if the values of x₀ have variance 1, those of x_t have variance 1 at every t. At small t ' +
        'the network has to tell fine grain from detail; at large t it has to guess what the whole picture could be. ε is drawn ' +
        'from a normal distribution, for each pixel on its own.',
    ),
  );
}

function schedule(curve: SVGElement): HTMLElement {
  const frame = create('div', { className: 'curve' });
  frame.append(curve);
  return create(
    'section',
    {},
    create('h2', { textContent: '2. The schedule: how much noise at which t' }),
    paragraph(
      'The schedule says how ᾱ falls from 1 to nearly 0. Drag the point. The ticks on the axis are the timesteps that your ' +
        'last fill visited: a sampler takes a few large steps where training used every t.',
    ),
    frame,
  );
}

function reverse(): HTMLElement {
  return create(
    'section',
    {},
    create('h2', { textContent: '3. Reverse: your last fill, step by step' }),
    create('p', { id: 'how-reversed' }),
    create('p', {
      id: 'strip-waiting',
      className: 'hint',
      textContent: 'A fill is in progress. Its steps appear here when it has ended.',
      hidden: true,
    }),
    create(
      'div',
      { id: 'example-row', className: 'row' },
      button('fill-example', 'Fill an example'),
      create('span', { className: 'hint', textContent: 'to see its steps here' }),
    ),
    create('p', { id: 'strip-legend', className: 'hint', hidden: true }),
    create('div', { id: 'strip' }),
  );
}

const PREDICTED: Record<PredictionType, string> = {
  epsilon: 'ε. With the equation of part 1, that gives an estimate of the clean picture',
  v: 'v = √ᾱ · ε − √(1 − ᾱ) · x₀. With the equation of part 1, that gives an estimate of the clean picture',
  sample: 'x₀, the clean picture',
};
const FILLED: Record<ModelInfo['card']['conditioning'], string> = {
  inpaint: 'the network also sees the known pixels and the mask, and only the hole begins as noise.',
  none:
    'the known pixels are put in at every step, with as much noise as x_t has. Again and again, the sampler adds noise to ' +
    'jump back some steps and denoises once more, so that the fill comes to fit the known pixels. This is RePaint.',
};

/** How a model draws and fills, step by step. */
export const howReversed = ({ prediction, conditioning }: ModelInfo['card']): string =>
  `The network sees x_t and t, and predicts ${PREDICTED[prediction]}. The sampler moves a little towards the estimate, ` +
  'to the next smaller t, and asks again. Early estimates are blurred: they are the mean of all pictures that are still ' +
  `possible. To fill a hole, ${FILLED[conditioning]}`;

const paragraph = (text: string) => create('p', { textContent: text });
const button = (id: string, text: string) => create('button', { type: 'button', id, textContent: text });

function figure(id: string, caption: string, className = ''): HTMLElement {
  const canvas = create('canvas', { id, role: 'img', ariaLabel: caption, width: 64, height: 64 });
  return create('figure', { className }, canvas, create('figcaption', { textContent: caption }));
}
