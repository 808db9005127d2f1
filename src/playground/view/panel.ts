import { type App, complain, settle } from '../actions/app.ts';
import type { Editing } from '../actions/editing.ts';
import type { Filling } from '../actions/filling.ts';
import { curlCommand, inWords, secondsOfFill } from '../state/select.ts';
import { NO_SETTINGS } from '../state/store.ts';
import type { Place, Settings, State } from '../state/types.ts';
import { byId, saveFile, setText } from './dom.ts';
import { complaintAbout, createFields, isAccepted, renderFields } from './fields.ts';
import { Status } from './status.ts';

/** The panel beside the picture: the button that fills, the settings, and what is done with the hole. */
export class Panel {
  readonly #app: App;
  readonly #editing: Editing;
  readonly #filling: Filling;
  readonly #form = byId<HTMLFormElement>('panel');

  constructor(app: App, editing: Editing, filling: Filling, onKey: () => void) {
    this.#app = app;
    this.#editing = editing;
    this.#filling = filling;
    const { store } = app;
    createFields((name, value) => {
      settle(app, name, 'fill');
      store.set({ settings: { ...store.state.settings, [name]: value } });
    });
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit();
    });
    byId('fill').addEventListener('click', (event) => {
      if (!store.state.fill) return;
      event.preventDefault(); // the button can submit again before this click has ended
      void filling.cancel();
    });
    byId('reset').addEventListener('click', () => store.set({ settings: NO_SETTINGS, errors: {} }));
    const key = byId<HTMLInputElement>('key');
    key.addEventListener('change', () => {
      const text = key.value.trim();
      // A header cannot hold it: fetch would fail as if the service were down.
      if (/[^\x21-\x7e]/.test(text)) {
        complain(
          app,
          'key',
          'This has characters that no API key has, perhaps invisible ones. Copy the key again.',
        );
        return;
      }
      store.set({ key: text });
      settle(app, 'key');
      onKey();
    });
    this.#listenToMask();
    byId('curl-copy').addEventListener('click', () => void this.#copyCommand());
    const status = new Status();
    store.onChange((state, before) => {
      this.#render(state, before);
      status.render(state);
    });
  }

  /** Fills, if the settings can be sent. */
  async #submit(): Promise<void> {
    const inputs = [...this.#form.elements].filter((each) => each instanceof HTMLInputElement);
    for (const input of inputs) {
      const complaint = input.name in NO_SETTINGS ? complaintAbout(input) : undefined;
      if (!complaint) continue;
      complain(this.#app, input.name as keyof Settings, complaint);
      const menu = input.closest('details');
      if (menu) menu.open = true; // an input in a closed menu could not take the focus
      input.focus();
      return;
    }
    await this.#filling.start();
  }

  #listenToMask(): void {
    const listen = (id: string, action: () => unknown) =>
      byId(id).addEventListener('click', () => void action());
    const amount = byId<HTMLInputElement>('grow-by');
    const grow = (sign: 1 | -1, verb: string) => {
      if (!isAccepted(this.#app, 'mask', [amount])) return;
      const by = amount.valueAsNumber;
      return this.#editing.changeMask({ kind: 'grow', by: sign * by }, `${verb} by ${by} px`);
    };
    listen('grow', () => grow(1, 'grow'));
    listen('shrink-mask', () => grow(-1, 'shrink'));
    amount.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.ctrlKey || event.metaKey) return;
      event.preventDefault(); // it would fill
      byId('grow').click();
    });
    listen('invert', () => this.#editing.changeMask({ kind: 'invert' }, 'invert'));
    listen('clear', () => this.#editing.changeMask({ kind: 'clear' }, 'clear'));
    listen('reuse', () => this.#editing.reuse());
    listen('mask-save', async () => {
      const { document: current } = this.#app.store.state;
      if (current) saveFile(await this.#app.studio.maskFile(current.mask.version), 'mask.png');
    });
    const file = byId<HTMLInputElement>('mask-file');
    listen('mask-open', () => file.click());
    file.addEventListener('change', () => {
      settle(this.#app, 'mask');
      if (file.files?.[0]) void this.#editing.openMask(file.files[0]);
      file.value = '';
    });
  }

  async #copyCommand(): Promise<void> {
    const { store } = this.#app;
    try {
      await navigator.clipboard.writeText(byId<HTMLTextAreaElement>('curl').value);
      store.set({ message: 'The command is copied. It reads mask.png: download the mask for it.' });
    } catch {
      byId<HTMLTextAreaElement>('curl').select();
      store.set({ message: 'The command is selected. Copy it with Ctrl+C.' });
    }
  }

  #render(state: State, before: State): void {
    this.#form.hidden = !state.document;
    const { picture } = state.document ?? {};
    if (picture) setText(byId('picture-info'), `${picture.name}, ${picture.width} × ${picture.height} px`);
    this.#renderButton(state.fill !== undefined);
    renderFields(state, before);
    const seconds = state.fill ? undefined : secondsOfFill(state);
    byId('estimate').hidden = seconds === undefined;
    if (seconds !== undefined) setText(byId('estimate'), `About ${inWords(seconds)} on the server.`);
    byId('key-row').hidden = !(state.key || state.errors.key || state.service === 'locked');
    const key = byId<HTMLInputElement>('key');
    if (document.activeElement !== key) key.value = state.key;
    if (state.errors !== before.errors) this.#renderErrors(state.errors);
    const command = curlCommand(state, new URL('.', location.href).href);
    const curl = byId<HTMLTextAreaElement>('curl');
    if (curl.value !== command) curl.value = command;
    byId('reuse').ariaDisabled = String(state.runs.length === 0);
  }

  /** One button fills and cancels, so that it keeps the focus. Enter in a field presses it only where it submits. */
  #renderButton(isFilling: boolean): void {
    const button = byId<HTMLButtonElement>('fill');
    setText(button, isFilling ? 'Cancel' : 'Fill');
    button.title = isFilling ? 'Esc' : 'Ctrl+Enter';
    button.type = isFilling ? 'button' : 'submit';
    button.classList.toggle('primary', !isFilling);
  }

  #renderErrors(errors: State['errors']): void {
    for (const element of document.querySelectorAll<HTMLElement>('.error')) {
      const place = element.id.slice('error-'.length) as Place;
      const text = errors[place] ?? '';
      element.hidden = text === '';
      setText(element, text);
      const input = document.getElementById(place === 'key' ? 'key' : `field-${place}`);
      const described =
        input ?? (place === 'num_images' ? this.#form.querySelector(`[name=${place}]`) : null);
      if (!described) continue;
      described.setAttribute('aria-invalid', String(text !== ''));
      described.setAttribute('aria-describedby', text === '' ? (input ? `hint-${place}` : '') : element.id);
      const menu = element.closest('details');
      if (text !== '' && menu) menu.open = true;
    }
    if (errors.mask) byId<HTMLDetailsElement>('mask-menu').open = true;
  }
}
