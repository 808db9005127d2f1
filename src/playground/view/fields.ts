import { type App, complain } from '../actions/app.ts';
import { chosenModel, defaultFeather } from '../state/select.ts';
import { NO_SETTINGS } from '../state/store.ts';
import type { Place, Settings, State } from '../state/types.ts';
import { byId, create } from './dom.ts';

interface NumberField {
  name: keyof Settings;
  label: string;
  min: number;
  max: number;
  /** Multiples that are allowed; 1 when absent. */
  step?: string;
  hint: string;
}
interface ChoiceField {
  name: keyof Settings;
  label: string;
  choices: [value: string, label: string][];
  hint: string;
}

const DEFAULT: [string, string] = ['', 'Model default'];
const FIELDS: (NumberField | ChoiceField)[] = [
  { name: 'model', label: 'Model', choices: [['', 'Default']], hint: 'Which model fills the hole' },
  {
    name: 'strategy',
    label: 'Strategy',
    choices: [
      ['', 'Automatic'],
      ['windows', 'Windows, full resolution'],
      ['crop', 'A square around the hole'],
      ['resize', 'The whole picture, shrunk'],
    ],
    hint: 'What the model is shown of the picture',
  },
  { name: 'mask_blur', label: 'Feather', min: 0, max: 256, hint: 'Pixels over which the fill fades in' },
  {
    name: 'mask_grow',
    label: 'Grow hole',
    min: -256,
    max: 256,
    hint: 'Pixels by which each fill grows the hole; negative shrinks it. What you painted stays as it is',
  },
  { name: 'padding', label: 'Padding', min: 0, max: 10_000, hint: 'Pixels around the hole, for the square' },
  {
    name: 'sampler',
    label: 'Sampler',
    choices: [DEFAULT, ['dpmpp_2m', 'DPM-Solver++ 2M'], ['ddim', 'DDIM'], ['ddpm', 'DDPM']],
    hint: 'How the noise is removed',
  },
  { name: 'steps', label: 'Steps', min: 1, max: 1000, hint: 'More are slower and finer' },
  { name: 'eta', label: 'Eta', min: 0, max: 1, step: 'any', hint: 'Fresh noise in each step of DDIM' },
  { name: 'seed', label: 'Seed', min: 0, max: 4_294_967_295, hint: 'The same seed gives the same picture' },
];

/** The settings of a request, each with its label, its hint and a place for what is wrong with it. */
export function createFields(onChange: (name: keyof Settings, value: string) => void): void {
  const rows = FIELDS.map((field) => {
    const id = `field-${field.name}`;
    const input = 'choices' in field ? choice(field) : numberInput(field);
    Object.assign(input, { id, name: field.name });
    const hint = create('p', { className: 'hint', id: `hint-${field.name}`, textContent: field.hint });
    const error = create('p', { className: 'error', id: `error-${field.name}`, role: 'alert', hidden: true });
    return create(
      'div',
      { className: 'field' },
      create('label', { htmlFor: id }, field.label),
      input,
      hint,
      error,
    );
  });
  byId('fields').replaceChildren(...rows);
  byId('panel').addEventListener('input', ({ target }) => {
    const { name, value } = target as HTMLInputElement;
    if (name === 'num_images' || FIELDS.some((field) => field.name === name))
      onChange(name as keyof Settings, value);
  });
}

function choice({ choices }: ChoiceField): HTMLSelectElement {
  return create('select', {}, ...choices.map(([value, label]) => new Option(label, value)));
}

function numberInput({ min, max, step = '1', label }: NumberField): HTMLInputElement {
  const input = create('input', { type: 'number', min: String(min), max: String(max), step });
  input.dataset.name = label;
  return input;
}

/** Shows the settings, and what the empty ones stand for. */
export function renderFields(state: State, before: State): void {
  const form = byId<HTMLFormElement>('panel');
  if (state.models !== before.models) renderModels(state.models);
  // Reset, or those of a picture that was opened. The value of text that is no number is '' too, as if the field were empty.
  const areReplaced =
    state.settings !== before.settings &&
    (state.settings === NO_SETTINGS || state.document !== before.document);
  for (const [name, value] of Object.entries(state.settings)) {
    const input = form.elements.namedItem(name);
    if (input instanceof HTMLSelectElement && ![...input.options].some((option) => option.value === value))
      input.add(new Option(value, value)); // a model that is not served any more: it is shown, rather than nothing
    if (input instanceof HTMLInputElement || input instanceof HTMLSelectElement)
      if (areReplaced || (input.value !== value && (document.activeElement !== input || value === '')))
        input.value = value;
  }
  const defaults = chosenModel(state)?.card.defaults;
  const feather = state.document ? defaultFeather(state.document.picture) : 0;
  const placeholders: Partial<Record<keyof Settings, string>> = {
    steps: defaults ? String(defaults.steps) : 'model default',
    eta: defaults ? String(defaults.eta) : 'model default',
    seed: 'random',
    mask_blur: `${feather}`,
    mask_grow: '0',
    padding: 'size of the hole',
  };
  for (const [name, placeholder] of Object.entries(placeholders))
    byId<HTMLInputElement>(`field-${name}`).placeholder = placeholder;
}

function renderModels(models: State['models']): void {
  const options = models.map(({ ref, card }) => {
    const option = new Option(ref, ref);
    option.title = card.description ?? '';
    return option;
  });
  byId('field-model').replaceChildren(new Option('Default', ''), ...options);
}

/** What is wrong with a field, as a sentence; undefined if it may be sent. */
export function complaintAbout(input: HTMLInputElement): string | undefined {
  if (input.validity.valid) return undefined;
  const kind = input.step === 'any' ? 'a number' : 'a whole number';
  return `${input.dataset.name} must be ${kind} from ${input.min} to ${input.max}.`;
}

/** Whether all of these inputs hold what they accept. The first that does not gets the focus, and a sentence at `place`. */
export function isAccepted(app: App, place: Place, inputs: readonly HTMLInputElement[]): boolean {
  const wrong = inputs.find(({ validity }) => !validity.valid);
  if (!wrong) return true;
  complain(app, place, complaintAbout(wrong) ?? '');
  wrong.focus();
  return false;
}
