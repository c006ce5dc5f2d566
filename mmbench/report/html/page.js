"use strict";
(() => {
  const status = document.getElementById("status");
  const say = (words) => { status.textContent = words; };

  // --- sorting: a body of rows (a model with the paper's numbers below it) moves as a whole ---
  const key = (body, column) => {
    const cell = body.rows[0].cells[column];
    if (column === 0) return cell.textContent.trim().toLowerCase();
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    return cell.textContent.trim().toLowerCase();
  };
  const missing = (value) => value === "" || value === "\u2013";
  const sort = (table, head) => {
    const column = Number(head.dataset.column);
    const before = head.getAttribute("aria-sort");
    const first = head.dataset.first || "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = before === "none" ? first : before === first ? other : first;
    table.querySelectorAll("th[aria-sort]").forEach((th) => th.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const bodies = [...table.tBodies].filter((body) => !body.classList.contains("reference"));
    const last = [...table.tBodies].find((body) => body.classList.contains("reference")) || null;
    bodies.map((body) => [key(body, column), body]).sort(([a], [b]) => {
      if (missing(a) !== missing(b)) return missing(a) ? 1 : -1;
      if (typeof a === "number" && typeof b === "number") return sign * (a - b);
      return sign * String(a).localeCompare(String(b), "en", { numeric: true });
    }).forEach(([, body]) => table.insertBefore(body, last));
    say(`${table.caption.textContent}: sorted by ${head.textContent.trim()}, ${order}`);
  };
  document.querySelectorAll("table.sortable th[aria-sort] button").forEach((button) => {
    button.addEventListener("click", () => sort(button.closest("table"), button.closest("th")));
  });

  // --- models shown: in tables, plots and grids of a section ---
  document.querySelectorAll("section.results").forEach((section) => {
    const boxes = [...section.querySelectorAll("input[data-show]")];
    const apply = () => {
      boxes.forEach((box) => section.querySelectorAll(`[data-line="${box.dataset.show}"]`).forEach((part) => {
        if (part instanceof SVGElement) part.style.display = box.checked ? "" : "none";
        else part.hidden = !box.checked;
      }));
      say(`${boxes.filter((box) => box.checked).length} of ${boxes.length} models shown`);
    };
    boxes.forEach((box) => box.addEventListener("change", apply));
    if (boxes.some((box) => !box.checked)) apply();  // a browser may remember the boxes of an earlier visit
  });

  // --- copying: the rows that are shown, in the order in which they stand ---
  const read = (table) => {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells].map((th) => th.textContent.trim());
    const groups = table.tHead.rows.length > 1
      ? [...table.tHead.rows[0].cells].flatMap((th) => Array(th.colSpan).fill(th.textContent.trim())) : heads.map(() => "");
    const bodies = [...table.tBodies].filter((body) => !body.hidden);
    const lines = bodies.map((body) => [...body.rows].map((row) => [...row.cells].map((cell) => ({
      text: cell.textContent.trim(),
      mark: cell.querySelector("strong") ? "bold" : cell.querySelector("u") ? "second" : "",
    }))));
    const first = bodies.findIndex((body) => body.classList.contains("reference"));
    const numeric = [...table.tHead.rows[table.tHead.rows.length - 1].cells].map((th) => th.classList.contains("number"));
    return { heads, groups, lines, first, numeric, caption: table.caption.textContent.trim(), notes: notes(table) };
  };
  const notes = (table) => {  // below the table, and those of its part where it is not folded away
    const own = [...table.closest(".table").querySelectorAll(".foot")];
    const part = table.closest("details") ? [] : [...table.closest("section").querySelectorAll(":scope > .words > li")];
    return [...own, ...part].map((one) => one.textContent.trim().replace(/\s+/g, " "));
  };
  const TEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\u2192": "$\\rightarrow$", "\u2191": "$\\uparrow$",
    "\u2193": "$\\downarrow$", "\u00b1": "$\\pm$", "\u2212": "$-$", "\u2013": "--", "\u00b7": "\\quad{}", "\u2020": "$\\dagger$", "\u2021": "$\\ddagger$", "\u00a7": "\\S{}", "\u00d7": "$\\times$", "<": "$<$", ">": "$>$", "|": "\\textbar{}", "[": "{[}", "]": "{]}" };
  const tex = (text) => text.replace(/[\\~^\u2192\u2191\u2193\u00b1\u2212\u2013\u00b7\u2020\u2021\u00a7\u00d7<>|%_&#${}\[\]]/g, (letter) => TEX[letter] || `\\${letter}`);
  const md = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/\|/g, "&#124;");
  const csv = (text) => {
    const safe = /^[=@\t\r]|^[+-](?![\d.])/.test(text) ? `'${text}` : text;
    return /[",\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  // '40.50 ± 0.71 [39.1, 41.9] ‡' in columns of its own: the number, its deviation, the ends of its interval, its marks
  const NUMBER = /^([+\u2212-]?[\d.]+(?:e[+-]?\d+)?)(?: \u00b1 ([\d.]+))?(?: \[([^,\]]+), ([^\]]+)\])?((?: (?:[\u2020\u2021\u00a7]|\([\u2020\u2021\u00a7]\)|\(n=\d+\)))*)$/;
  const PARTS = ["", " std", " low", " high", " mark"];
  const plain = (text) => text.replace(/\u2212/g, "-");
  const taken = (text) => {
    const found = NUMBER.exec(text);
    return found ? PARTS.map((_, k) => (k < 4 ? plain(found[k + 1] || "") : found[5].trim())) : [text, "", "", "", ""];
  };
  const forms = {
    CSV: ({ heads, groups, lines, numeric }) => {
      const rows = lines.flat().map((row) => row.map((cell, k) => (numeric[k] ? taken(cell.text) : [cell.text])));
      const kept = heads.map((_, k) => PARTS.map((_, part) => part).filter((part) => part === 0 || rows.some((row) => row[k][part])));
      const named = heads.flatMap((head, k) => kept[k].map((part) => (groups[k] ? `${groups[k]} ${head}` : head) + PARTS[part]));
      return [named, ...rows.map((row) => row.flatMap((cell, k) => kept[k].map((part) => cell[part])))]
        .map((row) => row.map(csv).join(",")).join("\n") + "\n";
    },
    Markdown: ({ heads, groups, lines, numeric, caption, notes }) => {
      const marked = ({ text, mark }) => mark === "bold" ? `**${md(text)}**` : mark === "second" ? `<u>${md(text)}</u>` : md(text);
      const rows = [heads.map((head, k) => md(groups[k] ? `${groups[k]} ${head}` : head)), numeric.map((is) => (is ? "---:" : ":---")), ...lines.flat().map((row) => row.map(marked))];
      const table = rows.map((row) => `| ${row.join(" | ")} |`).join("\n");
      return [`**${md(caption)}**`, table, ...notes.map((note) => `* ${md(note)}`)].join("\n\n") + "\n";
    },
    LaTeX: ({ heads, groups, lines, numeric, first, caption, notes }) => {
      const marked = ({ text, mark }) => mark === "bold" ? `\\textbf{${tex(text)}}` : mark === "second" ? `\\underline{${tex(text)}}` : tex(text);
      const out = [caption, ...notes].map((line) => `% ${tex(line)}`);
      out.push(`\\begin{tabular}{${numeric.map((is) => (is ? "r" : "l")).join("")}}`, "\\toprule");
      if (groups.some(Boolean)) {
        const spans = [], rules = [];
        for (let k = 0; k < groups.length;) {
          let end = k;
          while (end < groups.length && groups[end] === groups[k]) end += 1;
          spans.push(`\\multicolumn{${end - k}}{c}{${tex(groups[k])}}`);
          if (groups[k]) rules.push(`\\cmidrule(lr){${k + 1}-${end}}`);
          k = end;
        }
        out.push(`${spans.join(" & ")} \\\\`, rules.join(" "));
      }
      out.push(`${heads.map(tex).join(" & ")} \\\\`, "\\midrule");
      lines.forEach((body, k) => {
        if (k > 0 && k === first) out.push("\\midrule");
        body.forEach((row) => out.push(`${row.map(marked).join(" & ")} \\\\`));
      });
      return [...out, "\\bottomrule", "\\end{tabular}"].join("\n") + "\n";
    },
  };
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // no permission, or no secure page: the old way
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  };
  document.querySelectorAll("button[data-copy]").forEach((button) => button.addEventListener("click", async () => {
    const text = forms[button.dataset.copy](read(document.getElementById(button.dataset.table)));
    button.dataset.copied = text;
    await copy(text);
    button.focus();
    say(`Copied as ${button.dataset.copy}`);
    const words = button.textContent;
    if (words === "Copied") return;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, 1500);
  }));

  // --- tables that reach beyond the screen say so, until they are at their end ---
  const hint = (region) => {
    const over = region.scrollWidth - region.clientWidth;
    region.parentElement.classList.toggle("more", over > 2 && region.scrollLeft < over - 2);
    const words = region.nextElementSibling;
    if (over > 2 && !(words && words.classList.contains("hint"))) {
      const made = document.createElement("p");
      made.className = "hint";
      made.textContent = "\u2190 scroll sideways \u2192";
      region.after(made);
    } else if (words && words.classList.contains("hint")) words.hidden = over <= 2;
  };
  const regions = [...document.querySelectorAll(".scroll")];
  regions.forEach((region) => region.addEventListener("scroll", () => hint(region), { passive: true }));
  const watch = new ResizeObserver((seen) => seen.forEach((one) => hint(one.target)));
  regions.forEach((region) => watch.observe(region));

  // --- a narrow screen shows the first warning, and folds the others ---
  if (matchMedia("(max-width: 42rem)").matches) document.querySelectorAll(".warnings details").forEach((one) => { one.open = false; });

  // --- what is folded is printed, too ---
  const folded = new Set();
  addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((one) => { folded.add(one); one.open = true; }));
  addEventListener("afterprint", () => { folded.forEach((one) => { one.open = false; }); folded.clear(); });
})();
