import { useData, useRoute, withBase } from 'vitepress';
import DefaultTheme from 'vitepress/theme';
import { nextTick, onMounted, watch } from 'vue';

let loading;

/** Loads Mermaid once, and only for a page that has a diagram. It is a file of its own: bundling it takes half a minute. */
function loadMermaid() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = withBase('/mermaid.min.js');
    script.onload = () => resolve(window.mermaid);
    script.onerror = () => reject(new Error('mermaid.min.js cannot be loaded'));
    document.head.append(script);
  });
  return loading;
}

/** Draws the diagrams of the page that is shown, in the colours of the scheme that is chosen. */
async function draw(dark) {
  const diagrams = [...document.querySelectorAll('pre.mermaid')];
  if (diagrams.length === 0) return;
  const mermaid = await loadMermaid();
  mermaid.initialize({ startOnLoad: false, theme: dark ? 'dark' : 'neutral' });
  for (const diagram of diagrams) {
    diagram.dataset.source ??= diagram.textContent;
    diagram.textContent = diagram.dataset.source;
    delete diagram.dataset.processed;
  }
  await mermaid.run({ nodes: diagrams });
}

export default {
  extends: DefaultTheme,
  setup() {
    const route = useRoute();
    const { isDark } = useData();
    onMounted(() => draw(isDark.value));
    watch([() => route.path, isDark], () => nextTick(() => draw(isDark.value)));
  },
};
