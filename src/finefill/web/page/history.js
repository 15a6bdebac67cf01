// Undo and redo over states {photo, operations}: painting and removals alike.

const STEPS = 300;
const BYTES = 600e6; // of all photos that undo can come back to

export class History {
  #states;
  #at = 0;
  #saved;

  constructor(photo) {
    this.#states = [{ photo, operations: [] }];
    this.#saved = this.#states[0];
  }

  get state() {
    return this.#states[this.#at];
  }

  get canUndo() {
    return this.#at > 0;
  }

  get canRedo() {
    return this.#at < this.#states.length - 1;
  }

  /** Whether leaving would lose something. */
  get unsaved() {
    const { photo, operations } = this.state;
    return this.state !== this.#saved && (operations.length > 0 || photo !== this.#saved.photo);
  }

  push(state) {
    this.#states.splice(this.#at + 1, Infinity, state);
    this.#at++;
    while (this.#at > 1 && (this.#states.length > STEPS || this.#bytes() > BYTES)) {
      this.#states.shift();
      this.#at--;
    }
  }

  undo() {
    this.#at -= this.canUndo;
  }

  redo() {
    this.#at += this.canRedo;
  }

  markSaved() {
    this.#saved = this.state;
  }

  #bytes() {
    const photos = new Set(this.#states.map((state) => state.photo));
    return [...photos].reduce((sum, photo) => sum + photo.blob.size, 0);
  }
}
