"""Everything with ``fit``, in scikit-learn's conventions.

vae, base, fitted      ``VAE``: its arguments; fit, save and load; what a fitted one can do
tables/                ``TableImputer``, and what makes ``VAE(likelihood="auto")`` a model of a table
semisupervised/        ``SemiSupervisedVAE`` (M2, M1+M2), ``LatentClassifier`` (M1), ``SoftmaxRegression``
outliers/              ``OutlierVAE``
inputs, preparation    arguments and data, checked; a run that can start
model_file             what goes into a model's file, and back
sklearn_protocol       what scikit-learn asks of an estimator, without scikit-learn
"""
