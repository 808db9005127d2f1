import { type App, complain } from '../actions/app.ts';
import type { Opening } from '../actions/opening.ts';
import { defaultModel } from '../state/select.ts';
import type { ModelInfo, State } from '../state/types.ts';
import { byId, create } from './dom.ts';

const EXAMPLES = [
  { name: 'face-1', file: 'face-1.png', label: 'A face, drawn by the model' },
  { name: 'face-2', file: 'face-2.png', label: 'A second face, drawn by the model' },
  { name: 'face-3', file: 'face-3.png', label: 'A third face, drawn by the model' },
  { name: 'portrait', file: 'portrait.jpg', label: 'A scratched photograph: Grace Hopper, 1984' },
];

/** Ways to begin: examples, files, drops, pastes, and faces that the model generates. */
export function listenForPictures(app: App, opening: Opening): void {
  const buttons = EXAMPLES.map(({ name, file, label }) => {
    const path = `playground/examples/${file}`;
    const image = create('img', { src: path, alt: '', width: 96, height: 96, loading: 'lazy' });
    const button = create('button', { type: 'button', ariaLabel: `Fill: ${label}`, title: label }, image);
    button.dataset.example = name;
    button.addEventListener('click', () => {
      void opening.example(path, `playground/examples/${name}-mask.png`);
    });
    return button;
  });
  byId('examples').replaceChildren(...buttons);

  const file = byId<HTMLInputElement>('file');
  for (const id of ['open', 'another']) byId(id).addEventListener('click', () => file.click());
  file.addEventListener('change', () => {
    const [chosen] = file.files ?? [];
    file.value = ''; // so that the same file can be chosen again
    if (chosen) void opening.open(chosen, chosen.name);
  });
  byId('draw').addEventListener('click', () => void opening.generate());
  byId('draw-cancel').addEventListener('click', () => opening.cancelGenerating());
  byId('shrink').addEventListener('click', () => void opening.shrink());
  byId('close').addEventListener('click', () => app.store.set({ choosing: !app.store.state.choosing }));

  addEventListener('dragover', (event) => {
    event.preventDefault(); // a file that is dropped beside the picture must not replace the page
    document.body.classList.add('over');
  });
  addEventListener('dragleave', ({ relatedTarget }) => {
    if (!relatedTarget) document.body.classList.remove('over');
  });
  addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('over');
    const [dropped] = event.dataTransfer?.files ?? [];
    if (dropped) void opening.open(dropped, dropped.name);
    else complain(app, 'open', 'This is no file. Save the picture first, or copy it and paste it here.');
  });
  document.addEventListener('paste', ({ clipboardData }) => {
    const [pasted] = clipboardData?.files ?? [];
    if (pasted) void opening.open(pasted, pasted.name || 'pasted.png');
  });
  listenToQuestions(app);
  app.store.onChange(render);
}

function listenToQuestions({ store }: App): void {
  byId('question-yes').addEventListener('click', () => store.state.question?.answer(true));
  byId('question-no').addEventListener('click', () => store.state.question?.answer(false));
  byId('question').addEventListener('cancel', (event) => {
    event.preventDefault();
    store.state.question?.answer(false);
  });
}

function render(state: State, before: State): void {
  const { document: current, question, service } = state;
  byId('empty').hidden = current !== undefined && !state.choosing;
  byId('close').textContent = state.choosing ? 'Back to the picture' : 'Examples';
  byId('draw-cancel').hidden = !state.generating;
  byId('shrink-row').hidden = !state.tooLarge || !state.errors.open;
  byId('editor').classList.toggle('working', current !== undefined);
  byId('stage').ariaBusy = String(state.opening);
  if (question !== before.question) renderQuestion(question);
  const model = defaultModel(state);
  const states = {
    asking: '',
    loading: 'The model is loading; this takes a few seconds. You can already open a picture and paint.',
    busy: 'The service is busy. This page tries again by itself.',
    failing: 'Something went wrong in the service. This page tries again by itself.',
    unreachable: 'The service does not answer. This page tries again by itself.',
    locked: 'This service needs an API key.',
    ready: model ? learned(model) : '',
  };
  byId('model-hint').textContent = states[service];
  byId('model-hint').title = (service === 'ready' && model?.card.description) || '';
}

/** What to expect of a model. */
function learned({ ref, card: { resolution, data, training } }: ModelInfo): string {
  const { imported_from: source } = training;
  const [origin, name] = source ? [`, imported from ${source},`, ''] : ['', `: ${data.name}`];
  return `The model ${ref}${origin} has learned pictures of ${resolution} × ${resolution} px${name}. It fills other pictures less well.`;
}

function renderQuestion(question: State['question']): void {
  const dialog = byId<HTMLDialogElement>('question');
  if (question) {
    byId('question-text').textContent = question.text;
    byId('question-yes').textContent = question.yes;
    byId('question-no').textContent = question.no;
    dialog.showModal();
  } else if (dialog.open) {
    dialog.close(); // the focus returns to where it was
  }
}
