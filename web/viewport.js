/**
 * Keeps the page as high as what is seen of it. Where the on-screen keyboard covers the page instead of shrinking it
 * (Safari; `interactive-widget` of index.html is for the others), only the visual viewport tells.
 */
export function followVisualViewport(root, viewport = window.visualViewport) {
  if (!viewport) return;
  const fit = () => {
    const isCovered = viewport.scale === 1 && viewport.height < window.innerHeight - 1;
    root.style.height = isCovered ? `${viewport.height}px` : "";
    if (isCovered) window.scrollTo(0, 0); // Safari scrolls the page to show the field; it is in sight already
  };
  viewport.addEventListener("resize", fit);
  viewport.addEventListener("scroll", fit);
}
