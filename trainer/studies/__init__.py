"""Studies: many training runs of several systems on the same folds, compared in the paper's tables and figures."""
