"""How good a model is: metrics, intervals, folds, predictors, reports and plots."""
