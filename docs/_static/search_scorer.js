// How the results of a search are ordered: a heading that has the whole query comes
// first, then the pages of the guide, then what is generated from docstrings.
var Scorer = {
  score: (result) => {
    const [docname, , , , score, , kind] = result;
    const guide = docname.startsWith("generated/") ? 0 : 10;
    return score * (kind === "title" ? 6 : 1) + guide;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
