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
    return { heads, groups, lines, numeric: [...table.tHead.rows[table.tHead.rows.length - 1].cells].map((th) => th.classList.contains("number")) };
  };
  const TEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\u2192": "$\\rightarrow$", "\u2191": "$\\uparrow$",
    "\u2193": "$\\downarrow$", "\u00b1": "$\\pm$", "\u2212": "$-$", "\u2013": "--", "\u00b7": "\\quad{}", "\u2020": "$\\dagger$", "<": "$<$", ">": "$>$", "|": "\\textbar{}", "[": "{[}", "]": "{]}" };
  const tex = (text) => text.replace(/[\\~^\u2192\u2191\u2193\u00b1\u2212\u2013\u00b7\u2020<>|%_&#${}\[\]]/g, (letter) => TEX[letter] || `\\${letter}`);
  const md = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/\|/g, "&#124;");
  const csv = (text) => {
    const safe = /^[=@\t\r]|^[+-](?![\d.])/.test(text) ? `'${text}` : text;
    return /[",\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  };
  const forms = {
    CSV: ({ heads, groups, lines }) => [heads.map((head, k) => csv(groups[k] ? `${groups[k]} ${head}` : head)), ...lines.flat().map((row) => row.map((cell) => csv(cell.text)))].map((row) => row.join(",")).join("\n") + "\n",
    Markdown: ({ heads, groups, lines, numeric }) => {
      const marked = ({ text, mark }) => mark === "bold" ? `**${md(text)}**` : mark === "second" ? `<u>${md(text)}</u>` : md(text);
      const rows = [heads.map((head, k) => md(groups[k] ? `${groups[k]} ${head}` : head)), numeric.map((is) => (is ? "---:" : ":---")), ...lines.flat().map((row) => row.map(marked))];
      return rows.map((row) => `| ${row.join(" | ")} |`).join("\n") + "\n";
    },
    LaTeX: ({ heads, groups, lines, numeric }) => {
      const marked = ({ text, mark }) => mark === "bold" ? `\\textbf{${tex(text)}}` : mark === "second" ? `\\underline{${tex(text)}}` : tex(text);
      const out = [`\\begin{tabular}{${numeric.map((is) => (is ? "r" : "l")).join("")}}`, "\\toprule"];
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
      lines.forEach((body) => body.forEach((row) => out.push(`${row.map(marked).join(" & ")} \\\\`)));
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

  // --- what is folded is printed, too ---
  const folded = new Set();
  addEventListener("beforeprint", () => document.querySelectorAll("details:not([open])").forEach((one) => { folded.add(one); one.open = true; }));
  addEventListener("afterprint", () => { folded.forEach((one) => { one.open = false; }); folded.clear(); });
})();
