"""Makes the model: from clips and votes to an artifact that the station runs."""
