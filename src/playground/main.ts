/** Starts the page: the state, what changes it, and the views that render from it. */
import { type App, complain } from './actions/app.ts';
import { Connection } from './actions/connection.ts';
import { Editing } from './actions/editing.ts';
import { Filling } from './actions/filling.ts';
import { Keeping } from './actions/keeping.ts';
import { Opening } from './actions/opening.ts';
import { Lesson } from './lesson/lesson.ts';
import { masksInUse } from './state/history.ts';
import { INITIAL, Store } from './state/store.ts';
import { listenForPictures } from './view/entrance.ts';
import { keepFocus } from './view/focus.ts';
import { Frame } from './view/frame.ts';
import { Keyboard } from './view/keyboard.ts';
import { Panel } from './view/panel.ts';
import { Pointer } from './view/pointer.ts';
import { Results } from './view/results.ts';
import { Stage } from './view/stage.ts';
import { listenToTabs } from './view/tabs.ts';
import { Toolbar } from './view/toolbar.ts';
import { startStudio } from './worker/client.ts';

const store = new Store(INITIAL);
const studio = startStudio((text) => complain(app, 'open', text));
const stage = new Stage(store, studio);
const app: App = { store, studio, stage };

const editing = new Editing(app);
const filling = new Filling(app, editing);
// First: it sets the key that the connection asks with. Nothing is opened before the work of the last visit is back.
const restored = new Keeping(app, filling).start();
const opening = new Opening(app, editing, filling, restored);
const connection = new Connection(app);

const pointer = new Pointer(app, editing);
new Keyboard(app, editing, filling, pointer);
new Toolbar(app, editing);
new Frame(app);
new Panel(app, editing, filling, () => void connection.check());
new Results(app, editing);
listenForPictures(app, opening);
listenToTabs(app);
new Lesson(app, opening);
keepFocus(app);

store.onChange((state, before) => {
  const lists = ['past', 'future', 'runs'] as const;
  if (lists.some((name) => state[name] !== before[name])) void studio.keepMasks(masksInUse(state));
});

store.set({}); // the first rendering
void connection.check();
