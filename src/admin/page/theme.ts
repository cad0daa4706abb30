import { at } from './dom.js';

const KEY = 'scopegate-theme';

/** Lets the reader choose light or dark; otherwise the system says which. The browser keeps the choice. */
export function followTheme(): void {
  const select = at<HTMLSelectElement>('theme');
  select.value = kept();
  apply(select.value);
  select.addEventListener('change', () => {
    apply(select.value);
    try {
      localStorage.setItem(KEY, select.value);
    } catch {
      // A browser that keeps nothing forgets the choice.
    }
  });
}

function kept(): string {
  try {
    const value = localStorage.getItem(KEY);
    return value === 'light' || value === 'dark' ? value : 'auto';
  } catch {
    return 'auto';
  }
}

function apply(theme: string): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
