"""What a browser is asked about the text of a page."""

CONTRAST = """() => {
  const level = (text) => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255);
    const [r, g, b] = parts.map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const chosen = "h1, h2, h3, h4, p, a, label, button, td, th, small, li, b, figcaption, dt, dd, code, "
    + "summary, select, output, .badge";
  return Math.min(...[...document.querySelectorAll(chosen)].filter((each) => each.offsetParent).map((each) => {
    const [a, b] = [level(getComputedStyle(each).color), level(ground(each))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
}"""
"""The smallest contrast ratio of text that is shown, as WCAG 2 defines it."""
