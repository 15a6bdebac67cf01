// The page's elements.

export const $ = (id) => document.getElementById(id);

// Not the attribute disabled: it would take the focus away.
export function disable(id, off) {
  $(id).setAttribute("aria-disabled", String(off));
}
