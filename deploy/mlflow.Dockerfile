# MLflow's server with what docker-compose.yaml needs of it: PostgreSQL's and S3's clients, and basic authentication.
# The version is that of requirements.lock: a newer server would migrate the database, and there is no way back.
# Not built where it was written; see docker-compose.yaml.
FROM python:3.11-slim-bookworm

RUN pip install --no-cache-dir 'mlflow[auth]==3.17.2' 'psycopg2-binary>=2.9.9' 'boto3>=1.34'

COPY mlflow-auth.ini /etc/mlflow/auth.ini
COPY make_bucket.py /etc/mlflow/make_bucket.py
RUN useradd --create-home mlflow
USER mlflow
WORKDIR /home/mlflow
